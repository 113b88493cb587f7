-- prelude.lua - the rule kit: what rule files may say. Loaded before them, in the same cage (state.h).
--
--   rule {
--     symbol = "REPLY_TO_ELSEWHERE",       -- [A-Z0-9_]+, once; not DNSBL_*, URIBL_*, BAYES*, VIRUS, *_UNKNOWN: those are C's
--     score = 1.5,                         -- points; negative speaks for the mail
--     group = "headers", description = "Replies leave the sender's domain",
--     tests = { { headers = { From = "a@b.example", ["Reply-To"] = "c@d.example" }, hit = true } },
--     when = function(msg) ... end,        -- false or nil: no; true: yes; a string: yes, and this is the evidence
--   }
--
-- Instead of `when`, or beside it; all that stand there must hold:
--   header = "X-Mailer", matches = P       some header of that name matches (in its decoded value). Also "From:addr", "From:name",
--                                          "From:domain", "X:raw", "ALL", "ToCc", "EnvelopeFrom", "MESSAGEID": see view.h
--   header = "X-Mailer", lacks = P         it is there, and none of that name matches
--   mime = "Content-Type", matches = P     the same in any part's header
--   missing = "Date" or { ... }            none of these headers is there
--   present = "List-Id" or { ... }         one of these headers is there
--   subject = P, body = P, hidden = P      subject and visible text as one reads them (no invisible characters, plain letters
--                                          for fancy ones; as sent: header = "Subject"); what a reader would not see
--   paragraph = P                          subject and text, each paragraph for itself, blanks made one
--   rawbody = P, full = P                  decoded text parts with their markup; the whole mail as it came
--   uri = P                                some link, as "http://host/path", one a line: ^ and $ are its ends
--   file_name = P                          some attachment's or archive member's name, one a line
--   attachment = P                         "declared/type real/type name" of some attachment, one a line
--   header = "From:domain", in_map = "name"       the header stands in that map; also client_in, sender_in, host_in = "name" for
--                                          the SMTP client, the envelope's sender, the hosts of links
--   meta = "A && (B || !C) && D + E >= 2"  an expression over symbols, of C or of other rules (expr.h)
--   all = { "A", "B" }, any = {...}, none = {...}, at_least = 2    the same in lists: all of them, one of them (at_least so
--                                          many), none of them
-- P is a pattern text (any case), { text, flags }, or an re() object; see regex.h.
--
-- And:
--   max_shots = 3         each match counts, up to three (otherwise one_shot: the first)
--   mode = "shadow"       judged and shown, adds nothing; "canary(5)": counts in 5 of 100 mails, always the same; "off"; "on"
--   needs = { "text", "urls", "files", "dns", "redis:ro", "map:NAME" }    what `when` may look at beside headers, session and
--                         symbols: msg.text and its kin, links, parts and archive members, dns.*, redis.*, maps.find("NAME", value)
--   depends_on = { "A" }  symbols that `when` looks at by msg:found: judged after them
--   flags = { "nice" }    nice: speaks for the mail, its score is below 0; net: needs the network
--   symbol = "__NAME"     a helper: for other rules' meta only, never shown, no score
--
-- map { name = "freemail", type = "domains", values = { "gmail.com", ... } }     types: domains, addresses, cidr, exact, regex (maps.h)
-- map { name = "partners", type = "cidr", file = "partners.map" }      beside the rule file; read anew when it changes
-- map { name = "feed", type = "domains", url = "https://...", key = "..." }     fetched by `policyctl rules fetch-maps`, signed
--                                          by an Ed25519 key (base64) in URL.sig
--
-- scores { FOO = 1.5, BAR = 0 }            other points than the rules say; the last file wins. Also of what C finds before the
--                                          rules (MIME_..., SPF_..., DKIM_...): rules/auth.lua
-- scores { customer = "acme", FOO = 0 }    for that customer's mailboxes
-- scores { context = "submission", FOO = 0 }    on listeners of that context
--
-- A test is headers (a map, or a list of { name, value } where the order matters), text, html, attachments
-- ({ name, type, data }), or raw = the whole mail, or eml = a file in tests/ beside the rule file; session: sender,
-- client, client_name, helo, login, context; hit = true or false; label; evidence = a part of what must be shown;
-- clamd = the virus that ClamAV finds; found = { SYMBOL = points } what else was found before the rules;
-- dns = { a = { ["x.example"] = { "192.0.2.1" } }, txt = ..., mx = ..., ptr = { ["192.0.2.1"] = { "x.example" } } } and
-- redis = { KEY = "text", HASH = { field = "text" }, SET = { "member", ... } }: what is answered. What does not stand there is not
-- there; false: no answer comes.

local complain, warn, position, declare, is_note, is_need, is_file, describe =
  complain, warn, position, declare, is_note, is_need, is_file, describe
local declare_score, nearest, declare_map, map_text = declare_score, nearest, declare_map, map_text
for _, name in ipairs { "complain", "warn", "position", "declare", "is_note", "is_need", "is_file", "describe", "declare_score", "nearest", "declare_map",
  "map_text" } do _ENV[name] = nil end

-- What a table may have: { name, type that is checked (`kinds`), type as the manual and editors show it, what it is }, in the
-- order of the manual (policyctl rules doc). Becomes name -> type.
local function known_fields(class, text, list)
  local known = {}
  describe(class, text, list)
  for _, field in ipairs(list) do known[field[1]] = field[2] end
  return known
end

-- What `check` may say beside a type of Lua's, and how a mistake is told.
local function all_are(list, kind)
  local count = 0
  for key, value in pairs(list) do
    if type(key) ~= "number" or type(value) ~= kind then return false end
    count = count + 1
  end
  return count == #list
end
local kinds = {
  pattern = { "a pattern: a text, { text, flags } or re()", function(v)
    return type(v) == "string" or type(v) == "userdata" or
      (type(v) == "table" and type(v[1]) == "string" and (v[2] == nil or type(v[2]) == "string") and #v <= 2)
  end },
  names = { "a text or a list of texts", function(v) return type(v) == "string" or (type(v) == "table" and #v > 0 and all_are(v, "string")) end },
  list = { "a list of texts", function(v) return type(v) == "table" and all_are(v, "string") end },
  some = { "a list of at least one text", function(v) return type(v) == "table" and #v > 0 and all_are(v, "string") end },
  tables = { "a list of tables", function(v) return type(v) == "table" and all_are(v, "table") end },
  whole = { "a whole number of at least 1", function(v) return type(v) == "number" and v % 1 == 0 and v >= 1 end },
}

local PATTERN = "string|string[]|Regex"
local fields = known_fields("Rule", "One rule: rule { ... }. All conditions that stand there must hold.", {
  { "symbol", "string", "string", "Its name: capitals, digits, underscores; once. \"__NAME\" is a helper for other rules, without score." },
  { "score", "number", "number", "Points; below 0 it speaks for the mail." },
  { "group", "string", "string", "Where lists show it: \"headers\", \"money\"." },
  { "description", "string", "string", "One sentence, for whoever asks why a mail was held." },
  { "tests", "tables", "Test[]", "Its own examples." },
  { "header", "string", "string", "With matches, lacks or in_map: a header's name; also \"From:addr\", \"From:name\", \"From:domain\", \"X:raw\", \"ALL\", \"ToCc\", \"EnvelopeFrom\", \"MESSAGEID\"." },
  { "mime", "string", "string", "The same in any part's header." },
  { "matches", "pattern", PATTERN, "Some header of that name matches." },
  { "lacks", "pattern", PATTERN, "It is there, and none of that name matches." },
  { "missing", "names", "string|string[]", "None of these headers is there." },
  { "present", "names", "string|string[]", "One of these headers is there." },
  { "subject", "pattern", PATTERN, "The subject as one reads it; as sent: header = \"Subject\"." },
  { "body", "pattern", PATTERN, "The visible text as one reads it." },
  { "hidden", "pattern", PATTERN, "Text that a reader would not see." },
  { "paragraph", "pattern", PATTERN, "Subject and text, each paragraph for itself, blanks made one." },
  { "rawbody", "pattern", PATTERN, "The decoded text parts with their markup." },
  { "full", "pattern", PATTERN, "The mail as it came." },
  { "uri", "pattern", PATTERN, "Some link, as \"http://host/path\", one a line: ^ and $ are its ends." },
  { "file_name", "pattern", PATTERN, "Some attachment's or archive member's name, one a line." },
  { "attachment", "pattern", PATTERN, "\"declared/type real/type name\" of some attachment, one a line." },
  { "in_map", "string", "string", "The header stands in the map of that name." },
  { "client_in", "string", "string", "The SMTP client's address stands in the map." },
  { "sender_in", "string", "string", "The envelope's sender stands in the map." },
  { "host_in", "string", "string", "The host of some link stands in the map." },
  { "meta", "string", "string", "An expression over symbols: \"A && (B || !C) && D + E >= 2\"." },
  { "all", "some", "string[]", "All of these symbols were found." },
  { "any", "some", "string[]", "One of them was; at_least so many." },
  { "none", "some", "string[]", "None of them was." },
  { "at_least", "whole", "integer", "With any." },
  { "when", "function", "fun(msg: Message): any", "Comes last: false or nil no; true yes; a string yes, and this is the evidence." },
  { "needs", "list", "Need[]", "What `when` may look at beside headers, session and symbols." },
  { "depends_on", "some", "string[]", "Symbols that `when` looks at by msg:found: judged after them." },
  { "max_shots", "whole", "integer", "Each match counts, up to so many." },
  { "one_shot", "boolean", "boolean", "Only the first match counts: so it is without max_shots." },
  { "mode", "string", "string", "\"shadow\": judged and shown, adds nothing; \"canary(5)\": counts in 5 of 100 mails, always the same; \"off\"; \"on\"." },
  { "flags", "list", "Flag[]", "nice: speaks for the mail, its score is not above 0; net: needs the network." },
})
local test_fields = known_fields("Test", "One example beside a rule: a mail, what is around it, and whether the rule must find something.", {
  { "hit", "boolean", "boolean", "Must it?" },
  { "label", "string", "string", "What the example shows." },
  { "evidence", "string", "string", "Part of what must be shown." },
  { "headers", "table", "table<string, string>|string[][]", "By name, or a list of { name, value } where the order matters." },
  { "text", "string", "string", "A text/plain part." },
  { "html", "string", "string", "A text/html part." },
  { "attachments", "tables", "table[]", "{ name, type, data } each." },
  { "raw", "string", "string", "Instead of these: the whole mail." },
  { "eml", "string", "string", "Or a file of tests/ beside the rule file." },
  { "sender", "string", "string", "The envelope's." },
  { "client", "string", "string", "The SMTP client's address." },
  { "client_name", "string", "string", "Its verified name." },
  { "helo", "string", "string", "What it says in HELO." },
  { "login", "string", "string", "The user it is authenticated as." },
  { "context", "string", "string", "Of the listener." },
  { "clamd", "string", "string", "The virus that ClamAV finds in it." },
  { "found", "table", "table<string, number>", "Symbols found before the rules, with their points." },
  { "dns", "table", "table<string, table>", "{ a = { [\"x.example\"] = { \"192.0.2.1\" } }, txt = ..., mx = ..., ptr = { [\"192.0.2.1\"] = { \"x.example\" } } }; what is not there is not there, false: no answer comes." },
  { "redis", "table", "table<string, any>", "{ KEY = \"text\", HASH = { field = \"text\" }, SET = { \"member\" } }; false: no answer comes." },
})
local known_flags = { nice = true, net = true }
local known_needs = { text = true, urls = true, files = true, dns = true, ["redis:ro"] = true, ["map:NAME"] = true }
local word = re([[^(?:__[A-Z0-9_]{1,58}|[A-Z][A-Z0-9_]{2,59})$]])
local reserved = re([[^(?:DNSBL_|URIBL_|CAMPAIGN|REPUTATION|KNOWN_|BAYES|VIRUS$|CLAMAV|RULE|SCORE|MIME_UNKNOWN|OVERSIZE$|FINDINGS_LIMIT$)|_UNKNOWN$]])
local canary = re([[^canary\(([1-9]\d?)\)$]])
-- A group with an open repeat inside that is repeated itself: on the wrong text it takes exponential time.
local nested = re([[(?<!\\)\((?:[^()\\]|\\.)*(?<!\\)[+*](?![+])(?:[^()\\]|\\.)*\)(?:[+*](?![+])|\{\d+,\})]])

local seen = {}                         -- symbol -> where

-- A pattern in any of its three forms. `more`: flags that this place always has.
local function pattern(p, more)
  if type(p) == "userdata" then return p end
  if type(p) == "table" then return re(p[1], (p[2] or "") .. more) end
  return re(p, "i" .. more)
end

local function names(list)
  return type(list) == "table" and list or { list }
end

-- { kind, view, header, pattern } for C (conditions.c), which judges all but `when`.
local function match(kind, view, header, p)
  return { kind, view, header, pattern(p, (view == "uri" or view == "file_name" or view == "attachment") and "m" or "") }
end

local pattern_maps = {}                 -- name -> re() object: maps of patterns

local function in_map(view, header, name)
  if pattern_maps[name] then return { "match", view, header, pattern_maps[name] } end
  return { "in_map", view, header, name }
end

local function list_meta(spec)
  local terms = {}
  if spec.all and #spec.all > 0 then terms[#terms + 1] = table.concat(spec.all, " && ") end
  if spec.none and #spec.none > 0 then terms[#terms + 1] = "!(" .. table.concat(spec.none, " || ") .. ")" end
  if spec.any and (spec.at_least or 1) > 1 then
    local each = {}
    for i, name in ipairs(spec.any) do each[i] = "(" .. name .. " > 0)" end
    terms[#terms + 1] = "(" .. table.concat(each, " + ") .. ") >= " .. spec.at_least
  elseif spec.any then
    terms[#terms + 1] = "(" .. table.concat(spec.any, " || ") .. ")"
  end
  return table.concat(terms, " && ")
end

-- In this order: cheap ones first.
local texts = { "subject", "file_name", "attachment", "uri", "hidden", "body", "paragraph", "rawbody", "full" }

local function conditions(spec)
  local list = {}
  local function add(c) list[#list + 1] = c end

  if spec.all or spec.any or spec.none then add { "expr", list_meta(spec) } end
  if spec.meta then add { "expr", spec.meta } end
  if spec.missing then add { "missing", names(spec.missing) } end
  if spec.present then add { "present", names(spec.present) } end
  if spec.client_in then add(in_map("client", "", spec.client_in)) end
  if spec.sender_in then add(in_map("header", "EnvelopeFrom", spec.sender_in)) end
  if spec.host_in then add(in_map("host", "", spec.host_in)) end
  if spec.in_map then add(in_map(spec.header and "header" or "mime", spec.header or spec.mime, spec.in_map)) end
  for _, view in ipairs { "header", "mime" } do
    if spec[view] and spec.matches then add(match("match", view, spec[view], spec.matches)) end
    if spec[view] and spec.lacks then add(match("lacks", view, spec[view], spec.lacks)) end
  end
  for _, view in ipairs(texts) do
    if spec[view] ~= nil then add(match("match", view, "", spec[view])) end
  end
  if spec.when then add { "call", spec.when } end
  return list
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

local function hint(typed, known)
  local near = type(typed) == "string" and nearest(typed, known)
  return near and "; did you mean " .. near .. "?" or ""
end

local function check_fields(spec, known, bad)
  for key, value in pairs(spec) do
    local kind = known[key]
    if kind == nil then
      bad("unknown field " .. tostring(key) .. hint(key, known), key)
    elseif kinds[kind] then
      if not kinds[kind][2](value) then bad(key .. " must be " .. kinds[kind][1], key) end
    elseif type(value) ~= kind then
      bad(key .. " must be a " .. kind .. ", not a " .. type(value), key)
    end
  end
end

local dns_answers = { a = true, aaaa = true, mx = true, txt = true, ptr = true }

local function make_tests(spec, where, bad)
  local tests = {}
  for i, test in ipairs(spec) do
    local failed = false
    local function worse(text, field)
      failed = true
      bad("test " .. i .. ": " .. text, field)
    end
    check_fields(test, test_fields, worse)
    if type(test.hit) ~= "boolean" then worse("no hit = true or false") end
    for kind in pairs(test.dns or {}) do
      if not dns_answers[kind] then worse("dns has a, aaaa, mx, txt and ptr, no " .. tostring(kind) .. hint(kind, dns_answers), "dns") end
    end
    if test.eml and not failed and (test.eml:find("..") or not is_file(where, "tests/" .. test.eml)) then
      worse("there is no file tests/" .. test.eml .. " beside this one", test.eml)
    end
    local copy = {}
    for key, value in pairs(test) do copy[key] = value end
    if not failed then
      local ok, raw = pcall(test_mail, test)
      if ok then copy.raw = raw
      else worse("headers are texts by name, or a list of { name, text }; attachments have a name") end
    end
    tests[i] = copy
  end
  return tests
end

-- "canary(5)" -> "canary", 5
local function mode_of(spec, bad)
  local mode = spec.mode or "on"
  local share = canary:match(mode)
  if share then return "canary", tonumber(share) end
  if mode ~= "on" and mode ~= "off" and mode ~= "shadow" then
    bad("mode must be on, off, shadow or canary(PERCENT), not " .. mode, "mode")
  end
  return mode, 0
end

local pattern_fields = { "matches", "lacks", "subject", "file_name", "attachment", "uri", "hidden", "body", "paragraph", "rawbody", "full" }

-- Patterns whose worst case is bad: they are bounded when they run, but would fail on the mail they were written for.
local function look_at_patterns(spec, where)
  for _, field in ipairs(pattern_fields) do
    local p = type(spec[field]) == "table" and spec[field][1] or spec[field]
    if type(p) == "string" and nested:test(p) then
      warn(where, spec.symbol .. ": a repeat inside a repeated group can take exponential time: make the inner one possessive (x++)"
        .. " or bound the outer one", field)
    end
  end
end

-- Names that mail really has, for typos; X- and other private ones are anybody's.
local headers = {}
for _, name in ipairs { "From", "To", "Cc", "Bcc", "Subject", "Date", "Reply-To", "Sender", "Return-Path", "Received", "Message-Id",
  "In-Reply-To", "References", "MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Content-Id",
  "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Post", "Precedence", "Auto-Submitted", "User-Agent", "X-Mailer",
  "X-Priority", "Importance", "Organization", "Errors-To", "Delivered-To", "Authentication-Results", "DKIM-Signature", "ALL", "ToCc",
  "EnvelopeFrom", "MESSAGEID", "X-Originating-Ip", "Feedback-Id", "Disposition-Notification-To", "Thread-Index", "Thread-Topic" } do
  headers[name] = true
end

local function look_at_headers(spec, where)
  local function look(name, field)
    local first = name:find(":")
    local bare = first and name:sub(1, first - 1) or name
    for known in pairs(headers) do
      if known:lower() == bare:lower() then return end
    end
    if bare:lower():starts("x-") then return end
    local near = nearest(bare, headers)
    if near then warn(where, spec.symbol .. ": no mail program writes a header " .. bare .. "; did you mean " .. near .. "?", bare) end
  end
  for _, field in ipairs { "header", "mime" } do
    if spec[field] then look(spec[field], field) end
  end
  for _, field in ipairs { "missing", "present" } do
    for _, name in ipairs(names(spec[field])) do look(name, field) end
  end
end

function _ENV.rule(spec)
  local where = position(2)
  local failed = false
  local function bad(text, field, offset)
    failed = true
    local symbol = type(spec) == "table" and type(spec.symbol) == "string" and spec.symbol or "rule"
    complain(where, symbol .. ": " .. text, field, offset)
  end

  if type(spec) ~= "table" then return bad("rule must be given a table") end
  check_fields(spec, fields, bad)
  if failed then return end
  local helper = spec.symbol and spec.symbol:starts("__")
  if not spec.symbol then bad("no symbol")
  elseif not word:test(spec.symbol) then bad("a symbol is 3 to 60 capitals, digits and underscores", "symbol")
  elseif reserved:test(spec.symbol) or is_note(spec.symbol) then bad("that name is policyd's own", "symbol")
  elseif seen[spec.symbol] then bad("stands already at " .. seen[spec.symbol], "symbol")
  end
  local score = spec.score or helper and 0
  if not score then bad("no score: give score = POINTS, or call it __" .. (spec.symbol or "NAME") .. " if only other rules use it")
  elseif score ~= score or score > 1000 or score < -1000 then bad("score must lie in -1000 .. 1000", "score")
  end
  if not helper and (not spec.description or spec.description == "") then bad("no description") end
  if not helper and not spec.group then bad("no group") end
  if (spec.header or spec.mime) and not (spec.matches or spec.lacks or spec.in_map) then
    bad("header without matches, lacks or in_map", "header")
  end
  if spec.in_map and not (spec.header or spec.mime) then bad("in_map without header", "in_map") end
  if (spec.matches or spec.lacks) and not (spec.header or spec.mime) then bad("matches or lacks without header", "matches") end
  if spec.header and spec.mime then bad("header and mime in one rule: write two, and a meta", "mime") end
  if spec.at_least and (not spec.any or spec.at_least > #spec.any) then bad("at_least counts what stands in any: there are not so many", "at_least") end
  if spec.max_shots and (spec.one_shot or spec.max_shots > 1000) then
    bad("max_shots must lie in 1 .. 1000, and not stand beside one_shot", "max_shots")
  end
  for _, flag in ipairs(spec.flags or {}) do
    if not known_flags[flag] then bad("unknown flag " .. tostring(flag) .. hint(flag, known_flags), "flags")
    elseif flag == "nice" and score and score > 0 then bad("a nice rule speaks for the mail: its score must not be above 0", "score")
    end
  end
  if spec.needs and not spec.when then bad("needs is for a function: give when", "needs") end
  for _, need in ipairs(spec.needs or {}) do
    if type(need) ~= "string" or not is_need(need) then bad("unknown capability " .. tostring(need) .. hint(need, known_needs), "needs") end
  end
  local mode, share = mode_of(spec, bad)
  local ok, list = pcall(conditions, spec)
  if not ok then                        -- a pattern that does not compile: say it where it stands
    list = tostring(list)
    list = list:sub(list:find("re: ") or 1)
    local at = re([[ at byte (\d+) of]]):match(list)
    local field
    for _, name in ipairs(pattern_fields) do
      local p = type(spec[name]) == "table" and spec[name][1] or spec[name]
      if not field and type(p) == "string" and list:find(p) then field = name end
    end
    bad(list, field, at and tonumber(at))
    return
  end
  if #list == 0 then bad("no condition: give when, header, body, uri, ...") end
  local tests = make_tests(spec.tests or {}, where, bad)
  if failed then return end
  seen[spec.symbol] = where
  look_at_patterns(spec, where)
  look_at_headers(spec, where)
  local done, why = pcall(declare, {
    symbol = spec.symbol, points = score, group = spec.group or "", description = spec.description or "", where = where,
    conditions = list, max_shots = spec.max_shots or 1, helper = helper, mode = mode, share = share,
    depends_on = spec.depends_on, needs = spec.needs, tests = tests,
  })
  if not done then bad(tostring(why), spec.header and "header" or spec.mime and "mime") end
end

local map_fields = known_fields("Map", "A list that rules look things up in: map { ... }. One of file, values and url.", {
  { "name", "string", "string", "Small letters, digits, _ . -" },
  { "type", "string", "MapType", "domains: and what is below them; addresses: whole or @domain; cidr; exact; regex: a pattern a line." },
  { "values", "list", "string[]", "The lines themselves." },
  { "file", "string", "string", "A file beside the rule file; read anew when it changes." },
  { "url", "string", "string", "Fetched by policyctl rules fetch-maps." },
  { "key", "string", "string", "Its signer's Ed25519 key, base64; the signature stands at URL.sig. Must be there unless the url is https." },
})
local map_types = { domains = true, addresses = true, cidr = true, exact = true, regex = true }
local map_name = re([[^[a-z][a-z0-9_.-]{0,62}$]])
local mapped = {}                       -- name -> where

-- A list of patterns as one: each line stands for itself.
local function join_patterns(text)
  local parts = {}
  for _, line in ipairs(re([[^[^\n]*$]], "m"):all(text, 100000)) do
    line = re([[^\s*(.*?)\s*$]]):match(line)
    if line ~= "" and not line:starts("#") then
      local ok, why = pcall(re, line)
      if not ok then error(tostring(why):sub(tostring(why):find("re: ") or 1), 0) end
      parts[#parts + 1] = "(?:" .. line .. ")"
    end
  end
  return re(#parts > 0 and table.concat(parts, "|") or "(?!)", "i")
end

function _ENV.map(spec)
  local where, failed = position(2), false
  local function bad(text, field)
    failed = true
    complain(where, "map " .. tostring(type(spec) == "table" and spec.name or "") .. ": " .. text, field)
  end

  if type(spec) ~= "table" then return bad("map must be given a table") end
  check_fields(spec, map_fields, bad)
  if failed then return end
  local sources = (spec.file and 1 or 0) + (spec.values and 1 or 0) + (spec.url and 1 or 0)
  if not spec.name or not map_name:test(spec.name) then bad("a name of small letters, digits, _ . - is expected", "name")
  elseif mapped[spec.name] then bad("stands already at " .. mapped[spec.name], "name") end
  if not map_types[spec.type] then bad("type must be domains, addresses, cidr, exact or regex" .. hint(spec.type, map_types), "type") end
  if sources ~= 1 then bad("one of file, values and url is needed") end
  if spec.url and not (spec.url:starts("https://") or spec.key) then bad("what does not come by https needs a key that signs it", "url") end
  if spec.url and spec.type == "regex" then bad("patterns from elsewhere are programs of a stranger's: not by url", "url") end
  if failed then return end
  mapped[spec.name] = where
  local lines = spec.values and table.concat(spec.values, "\n") or nil
  if spec.type == "regex" then
    local ok, made = pcall(function() return join_patterns(lines or map_text(where, spec.file)) end)
    if not ok then return bad(tostring(made)) end
    pattern_maps[spec.name] = made
  else
    local ok, why = pcall(declare_map, where, spec.name, spec.type, spec.url and "" or spec.file, lines, spec.url, spec.key)
    if not ok then bad(tostring(why), "file") end
  end
end

local scored = {}                       -- "SYMBOL customer context" -> where

function _ENV.scores(spec)
  local where = position(2)
  if type(spec) ~= "table" then return complain(where, "scores must be given a table") end
  local customer, context = spec.customer or "", spec.context or ""
  if type(customer) ~= "string" or type(context) ~= "string" then
    return complain(where, "scores: customer and context are texts", type(customer) ~= "string" and "customer" or "context")
  end
  for symbol, points in pairs(spec) do
    if symbol ~= "customer" and symbol ~= "context" then
      if type(symbol) ~= "string" or type(points) ~= "number" or points ~= points or points > 1000 or points < -1000 then
        complain(where, "scores: " .. tostring(symbol) .. " = a number in -1000 .. 1000 is expected", tostring(symbol))
        return
      end
      local key = symbol .. " " .. customer .. " " .. context
      if scored[key] then
        warn(where, "scores: " .. symbol .. " has points already at " .. scored[key] .. "; these here win", symbol)
      end
      scored[key] = where
      declare_score(where, symbol, points, customer, context)
    end
  end
end
