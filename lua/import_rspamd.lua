-- import_rspamd.lua - rspamd's multimap, regexp and composites to a rule file of ours. Run by `policyctl rules import-rspamd`.
--
-- Reads      UCL files (multimap.conf, regexp.conf, composites.conf, groups.conf and their local.d kin) and Lua files with
--            config['regexp']['NAME'] = { ... }. Which kind of thing a block is, is told by what stands in it: `type` and `map` a
--            multimap, `expression` a composite, `re` a regexp, `symbols` a group with scores
-- Translated multimap: type from, rcpt, header, ip, url, filename, content, hostname, helo with filters email:domain, email:domain:tld,
--            email:addr, email:name, and none; map as a path, a list, or file:// and https:// (not fetched: file beside the rules)
--            regexp: Header=/re/flags, /re/flags{header|body|mime|sa_body|raw_body|url|...}, joined by & | !
--            composites: & | ! and brackets; ~SYM and -SYM as SYM (their effect on the partner's score has no like here: in the report)
-- Left out   everything else, each with the reason, in the report
--
-- Returns function(files, prefix) -> text of a rule file, report, translated, known.

local name_ok = re([[^[A-Za-z_][\w.-]*$]])
local number_re = re([[^-?\d+(?:\.\d+)?$]])
local flag_type = re([[^([a-z]*)(?:\{(\w+)\})?]], "i")
local symbol_re = re([[[~^-]?[A-Za-z_][\w.]*]])
local header_name = re([[^([\w-]+)\s*=\s*(?=/|m)]])

local function quote(s)
  if not s:find("]]") and not s:ends("]") and not s:find("\r") and not s:starts("\n") then return "[[" .. s .. "]]" end
  return string.format("%q", s)
end

-- --- UCL: name [name] { ... }, name = value;, name: value, [ lists ], "texts", # and /* */ comments ---

local function parse_ucl(text)
  local at = 1
  local function skip()
    while at <= #text do
      local c = text:sub(at, at)
      if c == "#" then at = (text:find("\n", at) or #text) + 1
      elseif text:sub(at, at + 1) == "/*" then at = ((text:find("*/", at + 2)) or #text) + 2
      elseif c == " " or c == "\t" or c == "\n" or c == "\r" or c == ";" or c == "," then at = at + 1
      else return end
    end
  end
  local function word()
    skip()
    local c = text:sub(at, at)
    if c == '"' or c == "'" then
      local out, i = {}, at + 1
      while i <= #text and text:sub(i, i) ~= c do
        if text:sub(i, i) == "\\" and c == '"' then
          local n = text:sub(i + 1, i + 1)
          out[#out + 1] = n == "n" and "\n" or n == "t" and "\t" or (n == '"' or n == "\\") and n or "\\" .. n
          i = i + 2
        else
          out[#out + 1] = text:sub(i, i)
          i = i + 1
        end
      end
      at = i + 1
      return table.concat(out)
    end
    local from = at
    while at <= #text and not (" \t\r\n;,={}[]:"):find(text:sub(at, at)) do at = at + 1 end
    if at == from then at = at + 1 return nil end
    return text:sub(from, at - 1)
  end
  local value, object

  function object(depth)
    local out = {}
    while true do
      skip()
      if at > #text then return out end
      if text:sub(at, at) == "}" then at = at + 1 return out end
      local key = word()
      if key and key:starts(".") then                   -- .include and other directives
        at = (text:find("\n", at) or #text) + 1
      elseif key then
        skip()
        local c = text:sub(at, at)
        if c == "=" or c == ":" then at = at + 1 end
        out[#out + 1] = { key, value(depth + 1) }
      end
    end
  end
  function value(depth)
    skip()
    local c = text:sub(at, at)
    if depth > 30 then error("too deep a file", 0) end
    if c == "{" then at = at + 1 return object(depth) end
    if c == "[" then
      at = at + 1
      local list = { list = true }
      while true do
        skip()
        if at > #text or text:sub(at, at) == "]" then at = at + 1 return list end
        list[#list + 1] = value(depth + 1)
      end
    end
    if text:sub(at, at + 2) == "<<E" then
      local tag_end = text:find("\n", at) or #text
      local tag = text:sub(at + 2, tag_end - 1)
      local stop = text:find("\n" .. tag, tag_end) or #text
      local s = text:sub(tag_end + 1, stop - 1)
      at = stop + 1 + #tag
      return s
    end
    local first = word()
    skip()
    if first and text:sub(at, at) == "{" then            -- name second { }: nested
      at = at + 1
      return { { first, object(depth) } }
    end
    return first or ""
  end
  return object(0)
end

local function get(object, key)
  if type(object) ~= "table" then return nil end
  for _, pair in ipairs(object) do
    if type(pair) == "table" and pair[1] == key then return pair[2] end
  end
end

-- --- Lua files: config['regexp']['NAME'] = { re = '...', score = 1, description = '...', group = '...' } ---

local lua_rule = re([==[(?:config\[['"]regexp['"]\]|reconf)\s*\[\s*['"](\w+)['"]\s*\]\s*=\s*\{(.*?)\n\s*\}]==], "s")
local lua_field = { score = re([[\bscore\s*=\s*(-?[\d.]+)]]), group = re([[\bgroup\s*=\s*['"]([^'"]+)]]),
  description = re([[\bdescription\s*=\s*['"]([^'"\n]+)]]), re = re([==[\bre\s*=\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|\[\[(.*?)\]\])]==], "s") }

return function(files, prefix)
  local out, left_out, made, known = {}, {}, 0, 0
  local scores, ours = {}, {}
  local function leave(name, why) left_out[#left_out + 1] = name .. ": " .. why end
  local function clean(name)
    local parts = re([[\w+]]):all(name, 100)
    return prefix .. table.concat(parts, "_"):upper()
  end

  local function head(name, score, group, description)
    return "  symbol = " .. quote(clean(name)) .. ", score = " .. string.format("%g", score or scores[name] or 0) .. ", group = " ..
      quote(group or "rspamd") .. ",\n  description = " .. quote(description and description ~= "" and description or name)
  end
  local function emit(name, score, group, description, condition)
    out[#out + 1] = "rule {\n" .. head(name, score, group, description) .. ",\n  " .. condition .. ",\n}\n"
    ours[name] = clean(name)
    made = made + 1
  end

  -- --- regexp: one thing, or several joined ---

  local views = { header = "header", mime = "paragraph", sa_body = "paragraph", sa_raw_body = "rawbody", raw_body = "full", rawbody = "full",
    body = "full", url = "uri", mimeheader = "mime", raw_header = "header", sabody = "paragraph", sarawbody = "rawbody", words = "body" }

  -- One term at `at`: text of a condition, where it ends; or nil and why.
  local function term(expr, at)
    local header = header_name:match(expr:sub(at))
    if header then
      at = at + #header
      while expr:sub(at, at) == " " or expr:sub(at, at) == "=" do at = at + 1 end
    end
    if expr:sub(at, at) ~= "/" then return nil, "not a pattern: " .. expr:sub(at, at + 20) end
    local i = at + 1
    while i <= #expr and expr:sub(i, i) ~= "/" do i = i + (expr:sub(i, i) == "\\" and 2 or 1) end
    local pattern, rest = expr:sub(at + 1, i - 1), expr:sub(i + 1)
    local flags, kind = flag_type:match(rest)
    local last = i + #flags + (kind and #kind + 2 or 0)
    local keep, raw, short = "", false, { P = "sa_body", M = "mime", H = "header", X = "raw_header", B = "mimeheader", Q = "raw_body", U = "url" }
    for k = 1, #flags do
      local f = flags:sub(k, k)
      if f == "i" or f == "m" or f == "s" or f == "x" or f == "u" then keep = keep .. f
      elseif short[f] then kind = kind or short[f] end
    end
    local view = header and (kind == "mimeheader" and "mime" or "header") or views[kind or ""]
    if not view or (view == "header" and not header) then return nil, "the type " .. tostring(kind) .. " is not translated" end
    local ok, why = pcall(re, pattern, keep)
    if not ok then return nil, tostring(why):sub(1, 90) end
    raw = kind == "raw_header" or flags:find("X") ~= nil
    local p = "{ " .. quote(pattern) .. ", \"" .. keep .. "\" }"
    if header then return view .. " = " .. quote(header .. (raw and ":raw" or "")) .. ", matches = " .. p, last end
    return view .. " = " .. p, last
  end

  local function regexp(name, expr, score, group, description)
    known = known + 1
    local meta, helpers, at = {}, {}, 1
    while at <= #expr do
      local c = expr:sub(at, at)
      if c == " " or c == "\n" or c == "\t" or c == "\r" then at = at + 1
      elseif ("()!&|+><0123456789"):find(c) and not header_name:test(expr:sub(at)) then meta[#meta + 1] = c at = at + 1
      else
        local condition, last = term(expr, at)
        if not condition then return leave(name, last) end
        helpers[#helpers + 1] = condition
        meta[#meta + 1] = " __" .. clean(name) .. "_" .. #helpers .. " "
        at = last + 1
      end
    end
    if #helpers == 1 and #meta == 1 then return emit(name, score, group, description, helpers[1]) end
    for i, condition in ipairs(helpers) do
      out[#out + 1] = "rule { symbol = \"__" .. clean(name) .. "_" .. i .. "\", " .. condition .. " }\n"
    end
    emit(name, score, group, description, "meta = " .. quote(table.concat(meta)))
  end

  -- --- multimap ---

  local sides = { ["email:domain"] = ":domain", ["email:domain:tld"] = ":domain", ["email:addr"] = ":addr", ["email"] = ":addr", ["email:name"] = ":name",
    full = "", ["email:user"] = nil }

  local function multimap(name, m)
    known = known + 1
    local kind, filter, pattern = get(m, "type"), get(m, "filter"), get(m, "regexp") == "true" or get(m, "regexp") == "yes"
    local symbol, source = get(m, "symbol") or name, get(m, "map")
    local where, map_type
    if kind == "ip" then where, map_type = "client_in", "cidr"
    elseif kind == "from" and get(m, "extract_from") ~= "mime" and not filter then where, map_type = "sender_in", "addresses"
    elseif kind == "from" or kind == "header" then
      local side = filter and sides[filter] or filter and nil or kind == "from" and ":addr" or ""
      if side == nil then return leave(symbol, "filter " .. tostring(filter) .. " is not translated") end
      where = "header = " .. quote((kind == "from" and "From" or get(m, "header") or "From") .. side) .. ", in_map"
      map_type = side == ":domain" and "domains" or side == ":addr" and "addresses" or "exact"
    elseif kind == "rcpt" then where, map_type = "header = \"ToCc:addr\", in_map", "addresses"
    elseif kind == "url" and (not filter or filter == "tld" or filter == "host") then where, map_type = "host_in", "domains"
    elseif kind == "filename" and pattern then where = "file_name"
    elseif kind == "content" and pattern then where = filter == "text" and "body" or "rawbody"
    elseif kind == "helo" or kind == "hostname" then return leave(symbol, "type " .. kind .. ": in `when`, msg." .. (kind == "helo" and "helo" or "client_name"))
    else return leave(symbol, "type " .. tostring(kind) .. (filter and " with filter " .. tostring(filter) or "") .. " is not translated")
    end
    if type(source) == "table" and not source.list then return leave(symbol, "its map is a block") end
    local lines = type(source) == "table" and source or nil
    local map = clean(symbol):lower()
    local text
    if lines then
      local quoted = {}
      for i, l in ipairs(lines) do quoted[i] = quote(tostring(l)) end
      text = "values = { " .. table.concat(quoted, ", ") .. " }"
    else
      local path = re([[^(?:file://|\$LOCAL_CONFDIR/|\$CONFDIR/|fallback\+file://)?(.*)$]]):match(tostring(source or ""))
      if path == "" then return leave(symbol, "no map") end
      if path:starts("http") then text = "url = " .. quote(path) .. ", key = \"\"" return leave(symbol, "its map comes from " .. path .. ": sign it, and write map { url, key }") end
      text = "file = " .. quote(path)
    end
    if pattern then map_type = "regex" end
    out[#out + 1] = "map { name = " .. quote(map) .. ", type = \"" .. (map_type or "regex") .. "\", " .. text .. " }\n"
    local condition = where == "file_name" or where == "body" or where == "rawbody"
    if condition then return leave(symbol, "patterns over " .. where .. ": write them as `" .. where .. " = P`") end
    emit(symbol, tonumber(get(m, "score")) or nil, get(m, "group"), get(m, "description"), where .. " = " .. quote(map))
  end

  -- --- which block is what ---

  local composites = {}
  local function block(name, m)
    if type(m) ~= "table" then return end
    if get(m, "expression") then composites[#composites + 1] = { name, m }
    elseif get(m, "re") then regexp(name, get(m, "re"), tonumber(get(m, "score") or ""), get(m, "group"), get(m, "description"))
    elseif get(m, "map") or get(m, "type") and get(m, "symbol") then multimap(name, m)
    else
      for _, pair in ipairs(m) do
        if type(pair) == "table" and type(pair[1]) == "string" then
          if get(pair[2], "weight") or get(pair[2], "score") and not get(pair[2], "expression") and not get(pair[2], "re") and not get(pair[2], "map") then
            scores[pair[1]] = tonumber(get(pair[2], "weight") or get(pair[2], "score")) or nil
          end
          block(pair[1], pair[2])
        end
      end
    end
  end

  for _, file in ipairs(files) do
    if file[1]:ends(".lua") then
      local rest = file[2]
      while true do
        local first, last = lua_rule:find(rest)
        if not first or last < first then break end
        local name, body = lua_rule:match(rest:sub(first, last))
        local a, b, c = lua_field.re:match(body)
        local expr = a or b
        if expr then                                    -- a quoted string of Lua's: two backslashes are one
          local parts = {}
          for i, piece in ipairs(re([[(?:[^\\]|\\(?!\\))+|\\\\]]):all(expr, 10000)) do parts[i] = piece == "\\\\" and "\\" or piece end
          expr = table.concat(parts)
        end
        expr = expr or c
        if expr then regexp(name, expr, tonumber(lua_field.score:match(body) or ""), lua_field.group:match(body), lua_field.description:match(body))
        else known = known + 1 leave(name, "its pattern is put together by a program") end
        rest = rest:sub(last + 1)
      end
    else
      block("", { { "", parse_ucl(file[2]) } })
    end
  end
  for _, pair in ipairs(composites) do ours[pair[1]] = clean(pair[1]) end
  for _, pair in ipairs(composites) do
    local name, m = pair[1], pair[2]
    known = known + 1
    local missing, removes = {}, false
    local expr, rest = {}, get(m, "expression")
    while true do
      local first, last = symbol_re:find(rest)
      if not first then break end
      local word = rest:sub(first, last)
      local mark = word:sub(1, 1)
      if mark == "~" or mark == "-" or mark == "^" then word = word:sub(2) removes = true end
      expr[#expr + 1] = rest:sub(1, first - 1)
      local lower = word:lower()
      if lower == "and" or lower == "or" or lower == "not" then expr[#expr + 1] = word
      elseif ours[word] then expr[#expr + 1] = ours[word]
      elseif word:starts("g") and rest:sub(last + 1, last + 1) == ":" then missing[#missing + 1] = "group " .. rest:sub(last + 2, last + 20)
        expr[#expr + 1] = "0"
      else missing[#missing + 1] = word expr[#expr + 1] = "0" end
      rest = rest:sub(last + 1)
    end
    expr[#expr + 1] = rest
    if #missing > 0 and not next(ours) then
      leave(name, "asks for " .. table.concat(missing, ", "))
    else
      emit(name, tonumber(get(m, "score") or ""), get(m, "group") or "composite", get(m, "description"), "meta = " .. quote(table.concat(expr)))
      if #missing > 0 then leave(name, "translated; counts as not found, for no rule here finds it: " .. table.concat(missing, ", ")) end
      if removes or get(m, "policy") then leave(name, "translated; does not take its parts' points away: set them to what they are worth alone") end
    end
  end
  local names = {}
  for i, file in ipairs(files) do names[i] = file[1] end
  local report = { string.format("%d things read, %d translated", known, made) }
  for _, line in ipairs(left_out) do report[#report + 1] = line end
  return "-- Made by `policyctl rules import-rspamd` from " .. table.concat(names, ", ") .. ".\n\n" .. table.concat(out, "\n"),
    table.concat(report, "\n") .. "\n", made, known
end
