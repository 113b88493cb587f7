-- import_sa.lua - SpamAssassin's .cf files to a rule file of ours. Run by `policyctl rules import-sa`, with re() and the cage's libraries.
--
-- Understood  header (=~ !~ exists: if-unset:), body, rawbody, full, uri, mimeheader, meta, describe, score, tflags, replace_tag
--             and its kin, freemail_domains, ifplugin, if, else, endif; eval: as far as sa_evals.lua has the function
-- Translated  a rule is one rule under PREFIX; `!~` and if-unset: become a helper and a meta. Points: the fourth of four (network
--             and Bayes), for policyd has both. A symbol that nothing finds is 0 in a meta, as in SpamAssassin.
-- Left out    network tests (policyd's own lists and authentication do that), lists of addresses, Bayes, what sa_evals.lua lacks:
--             each with the reason, in the report
--
-- Returns function(files, prefix, evals) -> text of a rule file, report. files: list of { name, text }.

local blank = re([[^\s*(?:#.*)?$]])
local line_re = re([[^\s*(\S+)(?:\s+(.*?))?\s*$]], "s")
local name_rest = re([[^(\S+)\s+(.*)$]], "s")
local header_re = re([[^(?:exists:(\S+)|(\S+?)\s*(=~|!~)\s*(.*?)(?:\s*\[if-unset:\s*(.*?)\])?)\s*$]], "s")
local eval_re = re([[^eval:(\w+)\s*\((.*)\)\s*$]], "s")
local delimited = re([[^(?:m\s*(\W)|(/))(.*)$]], "s")
local flags_re = re([[^[a-z]*$]])
local comment = re([[(?<!\\)#]])
local tag_re = re([[<[^<>\s]+>|<(?:pre|post|inter) [^<>]+>]])
local modifier = re([[<(pre|post|inter) ([^<>]+)>]])
local any_tag = re([[<[^<>]+>]])
local symbol_in_meta = re([[[A-Za-z_]\w*]])
local word_split = re([[\S+]])
local number_re = re([[^-?\d+(?:\.\d+)?$]])
local quoted_args = re([[\s*(?:'([^']*)'|"([^"]*)"|([^,'"\s]+))\s*(?:,|$)]])

local network_evals = {}
for _, n in ipairs { "check_rbl", "check_rbl_sub", "check_rbl_txt", "check_rbl_envfrom", "check_uridnsbl", "check_razor2", "check_razor2_range",
  "check_pyzor", "check_dcc", "check_dcc_reputation_range", "check_dns_sender", "check_hashbl_bodyre", "check_hashbl_emails", "check_hashbl_uris",
  "check_senders_reputation", "check_dkim_adsp", "check_dkim_valid", "check_dkim_valid_author_sig", "check_dkim_valid_envelopefrom",
  "check_dkim_signed", "check_dkim_testing", "check_dkim_dependable", "check_dkim_signall", "check_dkim_signsome", "check_arc_signed",
  "check_arc_valid", "check_dmarc_reject", "check_dmarc_quarantine", "check_dmarc_pass", "check_dmarc_none", "check_dmarc_missing",
  "check_access_database", "check_bayes", "check_shortcircuit" } do
  network_evals[n] = true
end
local network_spf = re([[^check_for_(?:def_)?(?:spf|dkim)_]])
local listed = re([[_in_(?:default_|auto_)?(?:white|welcome|block|black)list|_in_(?:more|all)_spam|check_uri_host_listed|_in_list$]])

-- Every match of `pat` in `s` replaced by what f(match) gives.
local function replace(pat, s, f)
  local out, rest = {}, s
  while true do
    local first, last = pat:find(rest)
    if not first or last < first then break end
    out[#out + 1] = rest:sub(1, first - 1)
    out[#out + 1] = f(rest:sub(first, last))
    rest = rest:sub(last + 1)
  end
  out[#out + 1] = rest
  return table.concat(out)
end

local function lines_of(text)
  local lines, from = {}, 1
  while from <= #text do
    local at = text:find("\n", from) or #text + 1
    lines[#lines + 1] = text:sub(from, at - 1)
    from = at + 1
  end
  return lines
end

local function words(s)
  return word_split:all(s or "", 100000)
end

-- A Lua string that says s.
local function quote(s)
  if not s:find("]]") and not s:ends("]") and not s:find("\r") and not s:starts("\n") then return "[[" .. s .. "]]" end
  return string.format("%q", s)
end

-- /x: white space and comments go, so that the pattern database can take it.
local function unspace(p)
  local out, i, class = {}, 1, false
  while i <= #p do
    local c = p:sub(i, i)
    if c == "\\" then
      out[#out + 1] = p:sub(i, i + 1)
      i = i + 1
    elseif class then
      class = c ~= "]"
      out[#out + 1] = c
    elseif c == "[" then
      class = true
      out[#out + 1] = c
      if p:sub(i + 1, i + 1) == "]" then out[#out + 1] = "]" i = i + 1 end
    elseif c == "#" then
      i = p:find("\n", i) or #p
    elseif c ~= " " and c ~= "\t" and c ~= "\n" then
      out[#out + 1] = c
    end
    i = i + 1
  end
  return table.concat(out)
end

local closing = { ["{"] = "}", ["("] = ")", ["["] = "]", ["<"] = ">" }

-- "/text/flags", "m{text}x" -> text, flags; or nil.
local function perl_pattern(s)
  local m, slash, rest = delimited:match(s)
  local open = m or slash
  if not open then return nil end
  local close = closing[open] or open
  for i = #rest, 1, -1 do
    if rest:sub(i, i) == close then
      local flags = rest:sub(i + 1)
      if not flags_re:test(flags) then return nil end
      local text, keep = rest:sub(1, i - 1), ""
      if flags:find("x") then text = unspace(text) end
      for _, f in ipairs { "i", "m", "s" } do
        if flags:find(f) then keep = keep .. f end
      end
      return text, keep
    end
  end
end

return function(files, prefix, evals)
  local rules, order = {}, {}           -- name -> { kind, ... }
  local score, describe, tflags, replace_rules = {}, {}, {}, {}
  local tags = { tag = {}, pre = {}, post = {}, inter = {} }
  local freemail, left_out, files_seen = {}, {}, {}

  local function leave(name, why) left_out[#left_out + 1] = { name, why } end

  -- ifplugin and if: what Debian's default plugins give is true here.
  local function holds(text)
    if text:find("Plugin::TextCat") or text:find("Plugin::TxRep") or text:find("Plugin::AWL") or text:find("Plugin::Shortcircuit")
      or text:find("Plugin::RelayCountry") or text:find("Plugin::ASN") or text:find("Plugin::DCC") or text:find("Plugin::PDFInfo")
      or text:find("Plugin::FromNameSpoof") or text:find("Plugin::Phishing") or text:find("Plugin::OLEVBMacro")
      or text:find("Plugin::DecodeShortURLs") or text:find("Plugin::ExtractText") or text:find("perl_min_version_5018000") then
      return text:find("!") ~= nil
    end
    if text:find("version") and text:find("<") then return false end
    return not (text:starts("(!") or text:starts("!"))
  end

  local function define(kind, name, what)
    if not rules[name] then order[#order + 1] = name end
    rules[name] = { kind = kind, what = what }
  end

  local actions = {
    header = function(n, r) define("header", n, r) end,
    body = function(n, r) define("body", n, r) end,
    rawbody = function(n, r) define("rawbody", n, r) end,
    full = function(n, r) define("full", n, r) end,
    uri = function(n, r) define("uri", n, r) end,
    mimeheader = function(n, r) define("mimeheader", n, r) end,
    meta = function(n, r) define("meta", n, r) end,
    describe = function(n, r) describe[n] = r end,
    score = function(n, r) score[n] = r end,
    tflags = function(n, r) tflags[n] = r end,
    replace_tag = function(n, r) tags.tag[n] = r end,
    replace_pre = function(n, r) tags.pre[n] = r end,
    replace_post = function(n, r) tags.post[n] = r end,
    replace_inter = function(n, r) tags.inter[n] = r end,
    replace_rules = function(n, r)
      replace_rules[n] = true
      for _, w in ipairs(words(r)) do replace_rules[w] = true end
    end,
    freemail_domains = function(n, r)
      freemail[#freemail + 1] = n
      for _, w in ipairs(words(r)) do freemail[#freemail + 1] = w end
    end,
    uri_detail = function(n) leave(n, "uri_detail: not translated") end,
    askdns = function(n) leave(n, "network") end,
    urirhsbl = function(n) leave(n, "network") end, urirhssub = function(n) leave(n, "network") end,
    uridnssub = function(n) leave(n, "network") end, uridnsbl = function(n) leave(n, "network") end,
    urinsrhsbl = function(n) leave(n, "network") end, urinsrhssub = function(n) leave(n, "network") end,
    urifullnsrhsbl = function(n) leave(n, "network") end, urifullnsrhssub = function(n) leave(n, "network") end,
  }

  local function read(text)
    local stack = {}
    for _, line in ipairs(lines_of(text)) do
      local at = comment:find(line)
      if at then line = line:sub(1, at - 1) end
      local verb, rest = line_re:match(line)
      local on = #stack == 0 or stack[#stack]
      if not verb or blank:test(line) then                -- nothing
      elseif verb == "ifplugin" then stack[#stack + 1] = on and holds("plugin " .. (rest or ""))
      elseif verb == "if" then stack[#stack + 1] = on and holds(rest or "")
      elseif verb == "else" then
        local outer = #stack < 2 or stack[#stack - 1]
        stack[#stack] = outer and not stack[#stack]
      elseif verb == "endif" then stack[#stack] = nil
      elseif on and verb ~= "lang" and actions[verb] and rest then
        local name, more = name_rest:match(rest)
        actions[verb](name or rest, more or "")
      end
    end
  end
  for _, file in ipairs(files) do read(file[2]) files_seen[#files_seen + 1] = file[1] end

  local function tag_text(name, pattern)
    if not replace_rules[name] then return pattern end
    for _ = 1, 5 do
      local mods, again = {}, false
      pattern = replace(modifier, pattern, function(t)
        local kind, which = modifier:match(t)
        mods[kind] = tags[kind][which]
        return ""
      end)
      local parts, rest, out = {}, pattern, {}            -- text, tag, text, tag, ..., text
      while true do
        local first, last = any_tag:find(rest)
        if not first then break end
        parts[#parts + 1] = rest:sub(1, first - 1)
        parts[#parts + 1] = rest:sub(first, last)
        rest = rest:sub(last + 1)
      end
      parts[#parts + 1] = rest
      for i, part in ipairs(parts) do
        if i % 2 == 0 then
          local value = tags.tag[part:sub(2, -2)]
          again = again or value ~= nil
          out[i] = value and (mods.pre or "") .. value .. (mods.post or "") or part
        else
          out[i] = part == "" and i > 1 and i < #parts and mods.inter or part
        end
      end
      pattern = table.concat(out)
      if not again then break end
    end
    return pattern
  end

  local ours = {}                       -- SpamAssassin's name -> ours, of what will stand in the file
  local function our_name(name)
    name = name:upper()
    return name:starts("__") and "__" .. prefix .. name:sub(3) or prefix .. name
  end

  local function points(name)
    local list, given = words(score[name]), nil
    for _, w in ipairs(list) do
      if number_re:test(w) then given = tonumber(w) end   -- the last: set 3 of four, or the only one
    end
    if #list == 0 then return name:starts("T_") and 0.01 or (tflags[name] or ""):find("nice") and -1 or 1 end
    return given or 1
  end

  -- Scored 0 in all sets: SpamAssassin does not run it either.
  local function is_off(name)
    local list = words(score[name])
    for _, w in ipairs(list) do
      if number_re:test(w) and tonumber(w) ~= 0 then return false end
    end
    return #list > 0
  end

  local out, made, nets, offs = {}, 0, 0, 0
  local function emit(fields) out[#out + 1] = fields end

  local function head(name, symbol)
    local helper = symbol:starts("__")
    local text = "  symbol = " .. quote(symbol)
    if not helper then
      text = text .. ", score = " .. string.format("%g", points(name)) .. ", group = \"spamassassin\",\n  description = " ..
        quote(describe[name] and #describe[name] > 0 and describe[name] or name)
    end
    if (tflags[name] or ""):find("multiple") then
      text = text .. ", max_shots = " .. (re([[maxhits=(\d+)]]):match(tflags[name]) or "1000")
    end
    return text
  end

  local function compiles(pattern, flags)
    return pcall(re, pattern, flags)
  end

  -- The condition of a rule as text of our language, or nil and why not.
  local function with_pattern(name, field, what)
    local pattern, flags = perl_pattern(what)
    if not pattern then return nil, "no pattern of Perl's: " .. what:sub(1, 40) end
    pattern = tag_text(name, pattern)
    local ok, why = compiles(pattern, flags)
    if not ok then return nil, tostring(why):sub(1, 100) end
    return field .. " = { " .. quote(pattern) .. ", \"" .. flags .. "\" }", nil, pattern, flags
  end

  local function eval_call(name, what)
    local f, args = eval_re:match(what)
    if not f then return nil, "no eval: call" end
    if network_evals[f] or network_spf:test(f) then return nil, "network" end
    if listed:test(f) then return nil, "a list of the site's own: " .. f end
    if not evals[f] then return nil, "eval:" .. f .. " is not translated" end
    local list = {}
    local rest = args
    while #rest > 0 do
      local first, last = quoted_args:find(rest)
      if not first or last == 0 then break end
      local a, b, c = quoted_args:match(rest)
      list[#list + 1] = quote(a or b or c)
      if #list == 1 and evals[f .. "_known"] and not evals[f .. "_known"][a or b or c] then
        return nil, "eval:" .. f .. " " .. tostring(a or b or c) .. " is not translated"
      end
      rest = rest:sub(last + 1)
    end
    return "needs = { \"text\", \"urls\", \"files\" }, when = sa_" .. f .. "(" .. table.concat(list, ", ") .. ")"
  end

  local views = { body = "paragraph", rawbody = "rawbody", full = "full", uri = "uri" }

  local function header_rule(name, rule, symbol, field)
    local exists, header, op, what, unset = header_re:match(rule.what)
    if exists then return emit("rule {\n" .. head(name, symbol) .. ",\n  present = " .. quote(exists) .. ",\n}\n") or true end
    if not header then return nil, "no header test" end
    if header:ends(":name:raw") then header = header:sub(1, -5) end       -- the name as decoded: nearest to it
    if re([[:(?:host|ip|revip|first|last|domain)\b]]):test(header) then return nil, "header " .. header .. ": not translated" end
    local condition, why, pattern, flags = with_pattern(name, "matches", what)
    if not condition then return nil, why end
    local test = field .. " = " .. quote(header) .. ", " .. condition
    local by_default = unset ~= nil and re(pattern, flags):test(unset)
    if op == "=~" and not by_default then
      emit("rule {\n" .. head(name, symbol) .. ",\n  " .. test .. ",\n}\n")
    else                                -- not there at all counts as if-unset's text, or as an empty one
      local inner, there = "__" .. prefix .. "IS_" .. name:upper(), "__" .. prefix .. "HAS_" .. name:upper()
      emit("rule { symbol = " .. quote(inner) .. ", " .. test .. " }\n")
      emit("rule { symbol = " .. quote(there) .. ", " .. (field == "mime" and "mime = " .. quote(header) .. ", matches = [[^]]" or
        "present = " .. quote(header)) .. " }\n")
      local expr = op == "=~" and inner .. " || !" .. there or by_default and there .. " && !" .. inner or "!" .. inner
      emit("rule {\n" .. head(name, symbol) .. ",\n  meta = " .. quote(expr) .. ",\n}\n")
    end
    return true
  end

  -- What can be translated is known before metas are written: they name the others.
  local metas = {}
  for _, name in ipairs(order) do
    local rule, symbol = rules[name], our_name(name)
    local ok, why
    if rule.kind ~= "meta" and re([[\bnet\b]]):test(tflags[name] or "") then
      ok, why = nil, "network"
    elseif is_off(name) then
      ok, why = nil, "score 0: switched off there too"
    elseif rule.kind == "meta" then
      metas[#metas + 1] = name
      ours[name] = symbol
      ok = true
    elseif rule.what:starts("eval:") then
      ok, why = eval_call(name, rule.what)
      if ok then emit("rule {\n" .. head(name, symbol) .. ",\n  " .. ok .. ",\n}\n") end
    elseif rule.kind == "header" or rule.kind == "mimeheader" then
      ok, why = header_rule(name, rule, symbol, rule.kind == "header" and "header" or "mime")
    else
      ok, why = with_pattern(name, views[rule.kind], rule.what)
      if ok then emit("rule {\n" .. head(name, symbol) .. ",\n  " .. ok .. ",\n}\n") end
    end
    if ok then
      ours[name] = symbol
      made = made + 1
    else
      leave(name, why)
      nets = nets + (why == "network" and 1 or 0)
      offs = offs + (why:starts("score 0") and 1 or 0)
    end
  end
  for _, name in ipairs(metas) do
    local symbol = our_name(name)
    local expr = replace(symbol_in_meta, rules[name].what, function(s)
      local lower = s:lower()
      if lower == "and" or lower == "or" or lower == "not" then return s end
      return ours[s] or "0"
    end)
    emit("rule {\n" .. head(name, symbol) .. ",\n  meta = " .. quote(expr) .. ",\n}\n")
  end

  local used = {}
  for _, text in ipairs(out) do
    for _, f in ipairs(re([[when = sa_(\w+)]]):all(text)) do used[f] = true end
  end
  local top = { "-- Made by `policyctl rules import-sa` from " .. table.concat(files_seen, ", ") .. ".\n" }
  for _, name in ipairs(evals.order) do
    if used[name] or evals.shared[name] then top[#top + 1] = evals[name] end
  end
  if #freemail > 0 then
    local list = {}
    for i, d in ipairs(freemail) do list[i] = quote(d:lower()) end
    table.insert(top, 2, "local sa_freemail_domains = { " .. table.concat(list, ", ") .. " }\n")
  else
    table.insert(top, 2, "local sa_freemail_domains = {}\n")
  end
  local report = { string.format("%d rules read: %d translated (%.1f %% of those that need no network), %d left to policyd's own network tests,"
    .. " %d switched off by score 0, %d not translated", #order, made, 100 * made / math.max(1, #order - nets - offs), nets, offs,
    #order - made - nets - offs) }
  for _, pair in ipairs(left_out) do
    if pair[2] ~= "network" and not pair[2]:starts("score 0") then report[#report + 1] = pair[1] .. ": " .. pair[2] end
  end
  return table.concat(top) .. "\n" .. table.concat(out, "\n"), table.concat(report, "\n") .. "\n", made, #order - nets - offs
end
