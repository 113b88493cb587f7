-- prelude.lua - the rule kit: what rule files may say. Loaded before them, in the same cage (state.h).
--
--   rule {
--     symbol = "REPLY_TO_ELSEWHERE",       -- [A-Z0-9_]+, once; not DNSBL_*, BAYES*, VIRUS, *_UNKNOWN: those are C's
--     score = 1.5,                         -- points; negative speaks for the mail
--     group = "headers", description = "Replies leave the sender's domain",
--     tests = { { headers = { From = "a@b.example", ["Reply-To"] = "c@d.example" }, hit = true } },
--     when = function(msg) ... end,        -- false or nil: no; true: yes; a string: yes, and this is the evidence
--   }
--
-- Instead of `when`, or beside it; all that stand there must hold:
--   header = "X-Mailer", matches = P       some header of that name matches (in its decoded value)
--   header = "X-Mailer", lacks = P         it is there, and none of that name matches
--   missing = "Date" or { ... }            none of these headers is there
--   present = "List-Id" or { ... }         one of these headers is there
--   subject = P, body = P, hidden = P      the decoded subject; the visible text; what a reader would not see
--   uri = P                                some link, as "http://host/path", one a line: ^ and $ are its ends
--   file_name = P                          some attachment's or archive member's name, one a line
--   all = { "A", "B" }, any = {...}, none = {...}, at_least = 2    symbols found before (of C, or of other rules):
--                                          all of them, one of them (at_least so many), none of them
-- P is a pattern text (any case), { text, flags }, or an re() object; see regex.h.
--
-- A test is headers (a map, or a list of { name, value } where the order matters), text, html, attachments
-- ({ name, type, data }), or raw = the whole mail, or eml = a file in tests/ beside the rule file; session: sender,
-- client, client_name, helo, login, context; hit = true or false; label.

local complain, position, declare, is_note = complain, position, declare, is_note
_ENV.complain, _ENV.position, _ENV.declare, _ENV.is_note = nil, nil, nil, nil

local LIST = "table"
local fields = {
  symbol = "string", score = "number", group = "string", description = "string", tests = LIST, when = "function",
  header = "string", matches = true, lacks = true, missing = true, present = true, subject = true, body = true,
  hidden = true, uri = true, file_name = true, all = LIST, any = LIST, none = LIST, at_least = "number",
}
local test_fields = {
  label = "string", headers = LIST, text = "string", html = "string", attachments = LIST, raw = "string", eml = "string",
  sender = "string", client = "string", client_name = "string", helo = "string", login = "string", context = "string",
  hit = "boolean",
}
local word = re([[^[A-Z][A-Z0-9_]{2,59}$]])
local reserved = re([[^(?:DNSBL_|BAYES|VIRUS$|CLAMAV|RULE|SCORE|MIME_UNKNOWN|OVERSIZE$|FINDINGS_LIMIT$)|_UNKNOWN$]])
local from_c = re([[^(?:DNSBL_[A-Z0-9_]+|VIRUS|CLAMAV_PHISH|CLAMAV_LIMIT|OVERSIZE|[A-Z]+_UNKNOWN)$]])

local seen, wanted = {}, {}             -- symbol -> where; symbols that all/any/none name, to check at the end

-- A pattern in any of its three forms. `more`: flags that this place always has.
local function pattern(p, more)
  if type(p) == "userdata" then return p end
  if type(p) == "table" then return re(p[1], (p[2] or "") .. more) end
  return re(p, "i" .. more)
end

local function names(list)
  return type(list) == "table" and list or { list }
end

local function evidence(value)
  return type(value) == "string" and value ~= "" and value:sub(1, 160) or true
end

-- What a pattern matched, in its whole length.
local function matched(pat, text)
  local first, last = pat:find(text)
  return first and evidence(text:sub(first, last))
end

-- Each makes a condition function(msg) of a spec's fields.
local makers = {}

function makers.header(spec)
  local name, yes, no = spec.header, spec.matches and pattern(spec.matches, ""), spec.lacks and pattern(spec.lacks, "")
  return function(msg)
    local first = msg:header(name)
    if not first then return false end
    for _, value in ipairs(msg:header_count(name) > 1 and msg:headers(name) or { first }) do
      if no and no:test(value) then return false end
      if yes then
        local hit = matched(yes, value)
        if hit then return hit end
      end
    end
    return not yes
  end
end

function makers.missing(spec)
  local list = names(spec.missing)
  return function(msg)
    for _, name in ipairs(list) do
      if msg:header(name) then return false end
    end
    return true
  end
end

function makers.present(spec)
  local list = names(spec.present)
  return function(msg)
    for _, name in ipairs(list) do
      if msg:header(name) then return true end
    end
    return false
  end
end

function makers.subject(spec)
  local pat = pattern(spec.subject, "")
  return function(msg) return matched(pat, msg.subject) end
end

function makers.body(spec)
  local pat = pattern(spec.body, "")
  return function(msg) return matched(pat, msg.text) end
end

function makers.hidden(spec)
  local pat = pattern(spec.hidden, "")
  return function(msg) return matched(pat, msg.hidden) end
end

function makers.uri(spec)
  local pat = pattern(spec.uri, "m")
  return function(msg) return matched(pat, msg.urls) end
end

function makers.file_name(spec)
  local pat = pattern(spec.file_name, "m")
  return function(msg) return matched(pat, msg.file_names) end
end

local function symbols(spec)
  local all, any, none, need = spec.all or {}, spec.any, spec.none or {}, spec.at_least or 1
  return function(msg)
    for _, s in ipairs(all) do
      if not msg:found(s) then return false end
    end
    for _, s in ipairs(none) do
      if msg:found(s) then return false end
    end
    if not any then return true end
    local count = 0
    for _, s in ipairs(any) do
      if msg:found(s) then
        count = count + 1
        if count >= need then return true end
      end
    end
    return false
  end
end

-- In this order: cheap ones first.
local order = { "missing", "present", "header", "subject", "file_name", "uri", "hidden", "body" }

local function conditions(spec)
  local list = {}
  if spec.all or spec.any or spec.none then list[#list + 1] = symbols(spec) end
  for _, name in ipairs(order) do
    if spec[name] ~= nil then list[#list + 1] = makers[name](spec) end
  end
  if spec.when then list[#list + 1] = spec.when end
  return list
end

-- All must hold; the evidence is the last one's that has any.
local function join(list)
  if #list == 1 then return list[1] end
  return function(msg)
    local found = true
    for i = 1, #list do
      local hit = list[i](msg)
      if not hit then return false end
      if hit ~= true then found = hit end
    end
    return found
  end
end

local function sorted_pairs(map)
  local keys, out = {}, {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do out[i] = { key, map[key] } end
  return out
end

local function attachment(a)
  return "Content-Type: " .. (a.type or "application/octet-stream") .. "; name=\"" .. a.name .. "\"\n" ..
    "Content-Disposition: attachment; filename=\"" .. a.name .. "\"\n\n" .. (a.data or "x") .. "\n"
end

-- The mail of a test, with LF line ends as it comes from a file.
local function test_mail(test)
  if test.raw or test.eml then return test.raw end
  local head, parts = {}, {}
  for _, pair in ipairs(test.headers and #test.headers > 0 and test.headers or sorted_pairs(test.headers or {})) do
    head[#head + 1] = pair[1] .. ": " .. pair[2] .. "\n"
  end
  if test.text then parts[#parts + 1] = "Content-Type: text/plain; charset=utf-8\n\n" .. test.text .. "\n" end
  if test.html then parts[#parts + 1] = "Content-Type: text/html; charset=utf-8\n\n" .. test.html .. "\n" end
  local kind = #parts > 1 and not test.attachments and "alternative" or "mixed"
  for _, a in ipairs(test.attachments or {}) do parts[#parts + 1] = attachment(a) end
  head = table.concat(head)
  if #parts == 0 then return head .. "\n" end
  if #parts == 1 then return head .. "MIME-Version: 1.0\n" .. parts[1] end
  return head .. "MIME-Version: 1.0\nContent-Type: multipart/" .. kind .. "; boundary=\"=-test\"\n\n--=-test\n" ..
    table.concat(parts, "--=-test\n") .. "--=-test--\n"
end

local function check_fields(spec, known, bad)
  for key, value in pairs(spec) do
    local kind = known[key]
    if kind == nil then
      bad("unknown field " .. tostring(key))
    elseif kind ~= true and type(value) ~= kind then
      bad(tostring(key) .. " must be a " .. kind .. ", not a " .. type(value))
    end
  end
end

local function make_tests(spec, bad)
  local tests = {}
  for i, test in ipairs(spec.tests) do
    local function worse(text) bad("test " .. i .. ": " .. text) end
    if type(test) ~= "table" then worse("must be a table") return tests end
    check_fields(test, test_fields, worse)
    if type(test.hit) ~= "boolean" then worse("no hit = true or false") end
    local copy = {}
    for key, value in pairs(test) do copy[key] = value end
    copy.raw = test_mail(test)
    tests[i] = copy
  end
  return tests
end

function _ENV.rule(spec)
  local where = position(2)
  local failed = false
  local function bad(text)
    failed = true
    local symbol = type(spec) == "table" and type(spec.symbol) == "string" and spec.symbol or "rule"
    complain(where .. ": " .. symbol .. ": " .. text)
  end

  if type(spec) ~= "table" then return bad("rule must be given a table") end
  check_fields(spec, fields, bad)
  if failed then return end
  if not spec.symbol then bad("no symbol")
  elseif not word:test(spec.symbol) then bad("a symbol is 3 to 60 capitals, digits and underscores")
  elseif reserved:test(spec.symbol) or is_note(spec.symbol) then bad("that name is policyd's own")
  elseif seen[spec.symbol] then bad("stands already at " .. seen[spec.symbol])
  end
  if not spec.score then bad("no score")
  elseif spec.score ~= spec.score or spec.score > 1000 or spec.score < -1000 then bad("score must lie in -1000 .. 1000")
  end
  if not spec.description or spec.description == "" then bad("no description") end
  if not spec.group then bad("no group") end
  if spec.header and not (spec.matches or spec.lacks) then bad("header without matches or lacks") end
  if (spec.matches or spec.lacks) and not spec.header then bad("matches or lacks without header") end
  local ok, list = pcall(conditions, spec)
  if not ok then                        -- a pattern that does not compile: say it where the rule stands
    list = tostring(list)
    bad(list:sub(list:find("re: ") or 1))
    return
  end
  if #list == 0 then bad("no condition: give when, header, body, uri, ...") end
  local tests = make_tests({ tests = spec.tests or {} }, bad)
  if failed then return end
  seen[spec.symbol] = where
  for _, key in ipairs { "all", "any", "none" } do
    for _, symbol in ipairs(spec[key] or {}) do wanted[#wanted + 1] = { symbol, where .. ": " .. spec.symbol } end
  end
  declare {
    symbol = spec.symbol, points = spec.score, group = spec.group, description = spec.description, where = where,
    run = join(list), late = (spec.all or spec.any or spec.none) ~= nil, tests = tests,
  }
end

-- Called when all files are read: does every symbol that is asked for exist?
return function()
  for _, want in ipairs(wanted) do
    local symbol, where = want[1], want[2]
    if type(symbol) ~= "string" or not (seen[symbol] or is_note(symbol) or from_c:test(symbol)) then
      complain(where .. ": asks for " .. tostring(symbol) .. ", which nothing finds")
    end
  end
  seen, wanted = nil, nil
end
