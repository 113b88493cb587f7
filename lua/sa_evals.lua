-- sa_evals.lua - what SpamAssassin's eval: functions look at, in our words: text that `policyctl rules import-sa` puts at the top of
-- the rule file it makes, as far as its rules need it. Each function sa_NAME(arguments) returns a `when`.
--
-- Written from the documented meaning of each test; where theirs looks at its own HTML tree, ours looks at the markup.

local evals = { order = {}, shared = {} }

local function add(name, text, shared)
  evals.order[#evals.order + 1] = name
  evals[name] = text .. "\n"
  evals.shared[name] = shared
end

add("helpers", [==[
local sa_freemail = {}
local sa_freemail_wild = {}
for _, d in ipairs(sa_freemail_domains) do
  if d:find("*") then sa_freemail_wild[#sa_freemail_wild + 1] = d else sa_freemail[d] = true end
end
local function sa_glob(domain, pattern)
  local star = pattern:find("*")
  return star and #domain >= #pattern - 1 and domain:starts(pattern:sub(1, star - 1)) and domain:ends(pattern:sub(star + 1))
end
local function sa_is_freemail(domain)
  domain = (domain or ""):lower()
  if sa_freemail[domain] then return true end
  for _, pattern in ipairs(sa_freemail_wild) do
    if sa_glob(domain, pattern) then return true end
  end
  return false
end
local function sa_count(pattern, text) return pattern:count(text, 100000) end
local function sa_raw(msg) return msg.rawbody end
local function sa_has_html(msg)
  for _, p in ipairs(msg.parts) do
    if p.kind == "html" then return true end
  end
end
]==], true)

add("html_tag_exists", [==[
local function sa_html_tag_exists(tag)
  local open = re("<" .. tag .. "[\\s>/]", "i")
  return function(msg) return sa_has_html(msg) and open:test(msg.rawbody) end
end]==])

add("html_test", [==[
local sa_html_tests = {
  html = function(msg) return sa_has_html(msg) end,
}
local function sa_html_test(test) return sa_html_tests[test] end]==])
evals.html_test_known = { html = true }

add("html_range", [==[
local function sa_html_bytes(msg)
  local n = 0
  for _, p in ipairs(msg.parts) do
    if p.kind == "html" and p.reading == 0 then n = n + p.size end
  end
  return n
end
local function sa_html_range(what, min, max)
  min, max = tonumber(min), tonumber(max)
  return function(msg)
    if not sa_has_html(msg) then return false end
    local n = sa_html_bytes(msg)
    return n > min and (not max or n <= max)
  end
end]==])
evals.html_range_known = { length = true }

add("html_text_match", [==[
local sa_comment, sa_linked_image = re("<!--?.{0,200}?>", "is"), re("<a\\s[^>]*>(?:(?!</a).){0,1000}?<img", "is")
local function sa_html_text_match(where)
  local pat = where == "comment" and sa_comment or sa_linked_image
  return function(msg) return sa_has_html(msg) and pat:test(msg.rawbody) end
end]==])
evals.html_text_match_known = { comment = true, anchor = true }

add("check_for_mime", [==[
local function sa_check_for_mime()
  return function(msg)
    for _, p in ipairs(msg.parts) do
      if p.encoding == "base64" and p.reading == 0 then return true end
    end
  end
end]==])
evals.check_for_mime_known = { mime_base64_count = true }

add("check_mailfrom_matches_rcvd", [==[
local sa_relay_part = re("rdns=(\\S*) helo=")
local function sa_check_mailfrom_matches_rcvd()
  return function(msg)
    local from = msg.sender ~= "" and msg.sender or (msg:address("Return-Path") or { addr = "" }).addr
    if from == "" then return false end
    local site = msg:site(from:sub((from:find("@") or 0) + 1):lower())
    local rdns = sa_relay_part:match(msg:relays())
    return rdns and rdns ~= "" and site ~= "" and msg:site(rdns:lower()) == site
  end
end]==])

add("check_for_no_rdns_dotcom_helo", [==[
local sa_no_rdns_com = re("rdns= helo=\\S*(?:lycos|lycos-europe|mail\\.com|excite|hotmail|yahoo|aol|msn|caramail|netscape)\\.\\S* ", "i")
local function sa_check_for_no_rdns_dotcom_helo()
  return function(msg) return sa_no_rdns_com:test(msg:relays()) end
end]==])

add("gated_through_received_hdr_remover", [==[
local sa_groups, sa_ezmlm = re("^contact \\S+\\@\\S+\\; run by ezmlm$"), re("^<mailto:[^>]+>")
local function sa_gated_through_received_hdr_remover()
  return function(msg)
    local list, delivered = msg:header("Mailing-List"), msg:header("Delivered-To")
    if list and sa_groups:test(list) and delivered and delivered:starts("mailing list ") then return true end
    if msg:header_count("Received") == 0 then return true end
    local id = msg:header("Message-ID") or ""
    return id:find("@GROUPS.MSN.COM>") ~= nil or id:find("@groups.msn.com>") ~= nil
  end
end]==])

add("check_for_mime_html", [==[
local function sa_check_for_mime_html()
  return function(msg) return sa_has_html(msg) end
end]==])

add("check_for_mime_html_only", [==[
local function sa_check_for_mime_html_only()
  return function(msg)
    local html, plain = false, false
    for _, p in ipairs(msg.parts) do
      html = html or p.kind == "html"
      plain = plain or p.kind == "text"
    end
    return html and not plain
  end
end]==])

add("check_for_uppercase", [==[
local sa_upper, sa_lower, sa_upper_word = re("[A-Z]"), re("[a-z]"), re("\\S+")
local function sa_check_for_uppercase(min, max)
  min, max = tonumber(min), tonumber(max)
  return function(msg)
    local text = msg.paragraphs
    if #text < 200 then return false end
    local upper, lower = sa_count(sa_upper, text), sa_count(sa_lower, text)
    if upper + lower == 0 then return false end
    local percent = 100 * upper / (upper + lower)
    return percent >= min and percent <= max
  end
end]==])

add("subject_is_all_caps", [==[
local sa_caps_lead = re("^\\s*(?:(?:re|fwd?|aw|fw)\\s*:\\s*|\\[[^\\]]*\\]\\s*)+", "i")
local sa_not_caps, sa_caps_words = re("[a-z]"), re("[A-Z]{4}|\\b[A-Z]{2,}\\b.*\\b[A-Z]{2,}\\b")
local sa_blank = re("\\s")
local function sa_subject_is_all_caps()
  return function(msg)
    local s = msg.subject
    local first, last = sa_caps_lead:find(s)
    if first then s = s:sub(last + 1) end
    return sa_blank:test(s) and #s >= 10 and not sa_not_caps:test(s) and sa_count(sa_upper_letter, s) > 2
  end
end]==])
evals.subject_is_all_caps = "local sa_upper_letter = re(\"[A-Z]\")\n" .. evals.subject_is_all_caps

add("check_for_missing_to_header", [==[
local sa_something = re("\\S")
local function sa_check_for_missing_to_header()
  return function(msg)
    local to = msg:header("To") or msg:header("Apparently-To")
    return not (to and sa_something:test(to))
  end
end]==])

add("check_for_matching_env_and_hdr_from", [==[
local function sa_check_for_matching_env_and_hdr_from()
  return function(msg)
    local from = msg:address("From")
    local path = msg.sender ~= "" and msg.sender or (msg:address("Return-Path") or { addr = "" }).addr
    return from and path ~= "" and from.addr:lower():find(path:lower()) ~= nil
  end
end]==])

add("check_equal_from_domains", [==[
local function sa_check_equal_from_domains()
  return function(msg)
    local from = msg:address("From")
    local path = msg.sender ~= "" and msg:site(msg.sender:sub((msg.sender:find("@") or 0) + 1)) or (msg:address("Return-Path") or { site = "" }).site
    return from and from.site ~= "" and path ~= "" and from.site ~= path
  end
end]==])

add("check_freemail_from", [==[
local function sa_check_freemail_from(pattern)
  local pat = pattern and re(pattern, "i")
  return function(msg)
    for _, name in ipairs { "From", "Envelope-Sender", "Resent-Sender", "X-Envelope-From", "Return-Path", "Resent-From" } do
      local a = msg:address(name)
      if a and sa_is_freemail(a.domain) and (not pat or pat:test(a.addr)) then return a.addr end
    end
    return msg.sender ~= "" and sa_is_freemail(msg.sender:sub((msg.sender:find("@") or 0) + 1)) and (not pat or pat:test(msg.sender))
  end
end]==])

add("check_freemail_header", [==[
local function sa_check_freemail_header(header, pattern)
  local pat = pattern and re(pattern, "i")
  return function(msg)
    local name = header:ends(":addr") and header:sub(1, -6) or header
    local a = msg:address(name == "EnvelopeFrom" and "Return-Path" or name)
    if name == "EnvelopeFrom" and msg.sender ~= "" then
      a = { addr = msg.sender, domain = msg.sender:sub((msg.sender:find("@") or 0) + 1) }
    end
    return a and sa_is_freemail(a.domain) and (not pat or pat:test(a.addr)) and a.addr
  end
end]==])

add("check_freemail_replyto", [==[
local sa_an_address = re("[\\w.+-]+@[\\w.-]+\\.[a-z]{2,}", "i")
local function sa_check_freemail_replyto(how)
  return function(msg)
    local from, to = msg:address("From"), msg:address("Reply-To")
    local from_free, to_free = from and sa_is_freemail(from.domain), to and sa_is_freemail(to.domain)
    if to and not to_free then return false end
    if from_free and to_free and from.addr:lower() ~= to.addr:lower() then return to.addr end
    if how ~= "replyto" then return false end
    return false
  end
end]==])

add("check_header_count_range", [==[
local function sa_check_header_count_range(header, min, max)
  min, max = tonumber(min), tonumber(max)
  return function(msg)
    local seen, n = {}, 0
    for _, v in ipairs(msg:headers(header)) do
      if not seen[v] then n = n + 1 seen[v] = true end
    end
    return n >= min and n <= max
  end
end]==])

add("check_body_length", [==[
local function sa_check_body_length(min)
  min = tonumber(min)
  return function(msg) return #msg.paragraphs < min end
end]==])

add("check_illegal_chars", [==[
local sa_illegal = re("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\xff]")
local sa_local_charset = re("[\\x80-\\xff]")
local function sa_check_illegal_chars(header, ratio, count)
  ratio, count = tonumber(ratio), tonumber(count)
  return function(msg)
    local s
    if header == "ALL" then
      local all = {}
      for _, name in ipairs(msg:header_names()) do
        if not all[name] and name:lower() ~= "subject" and name:lower() ~= "from" then
          all[#all + 1] = msg:raw_header(name) or ""
        end
      end
      s = table.concat(all, "\n")
    else
      s = msg:raw_header(header) or ""
    end
    local n = sa_count(sa_illegal, s)
    return n > 0 and n >= count and n / #s > ratio
  end
end]==])

add("check_for_to_in_subject", [==[
local function sa_check_for_to_in_subject(how)
  return function(msg)
    local to = msg:address("To")
    if not to or to.user == "" then return false end
    local subject = msg.subject:lower()
    if how == "address" then return subject:find(to.addr:lower()) ~= nil end
    return subject:find(to.user:lower()) == 1 and (subject:sub(#to.user + 1, #to.user + 1) == "," or subject:sub(#to.user + 1, #to.user + 1) == ":")
  end
end]==])

add("sorted_recipients", [==[
local function sa_sorted_recipients()
  return function(msg)
    local list = {}
    for _, h in ipairs { "To", "Cc" } do
      for _, a in ipairs(msg:addresses(h)) do list[#list + 1] = a.addr:lower() end
    end
    if #list < 7 then return false end
    for i = 2, #list do
      if list[i] < list[i - 1] then return false end
    end
    return true
  end
end]==])

add("similar_recipients", [==[
local function sa_similar_recipients(min, max)
  min, max = tonumber(min), tonumber(max)
  return function(msg)
    local list = {}
    for _, h in ipairs { "To", "Cc" } do
      for _, a in ipairs(msg:addresses(h)) do list[#list + 1] = a.addr:lower() end
    end
    if #list < 5 then return false end
    local hits, combos = 0, 0
    for i = 1, math.min(#list, 256) do
      for j = i + 1, math.min(#list, 256) do
        combos = combos + 1
        local a, b = list[i], list[j]
        local ua, ub = a:sub(1, (a:find("@") or #a + 1) - 1), b:sub(1, (b:find("@") or #b + 1) - 1)
        if a:sub(1, 2) == b:sub(1, 2) then hits = hits + 1 end
        if ua ~= a and ub ~= b and a:sub(#ua + 1) == b:sub(#ub + 1) and ua ~= ub then hits = hits + 0.5 end
      end
    end
    local ratio = combos > 0 and hits / combos or 0
    return ratio >= min and (not max or ratio < max)
  end
end]==])

add("check_blank_line_ratio", [==[
local sa_blank_line, sa_line = re("^\\s*$", "m"), re("\\n")
local function sa_check_blank_line_ratio(min, max, minlines)
  min, max, minlines = tonumber(min), tonumber(max), tonumber(minlines or 1)
  return function(msg)
    local text = msg.rawbody
    local lines = sa_count(sa_line, text)
    if lines < minlines or lines == 0 then return false end
    local percent = 100 * sa_count(sa_blank_line, text) / lines
    return percent >= min and percent <= max
  end
end]==])

add("html_image_only", [==[
local sa_image, sa_not_blank = re("<img[\\s>/]", "i"), re("\\S+")
local function sa_html_image_only(min, max)
  min, max = tonumber(min), tonumber(max)
  return function(msg)
    return sa_has_html(msg) and sa_image:test(msg.rawbody) and #msg.text > min and #msg.text <= max
  end
end]==])

add("html_tag_balance", [==[
local function sa_html_tag_balance(tag, relation)
  local open, close = re("<" .. tag .. "(?=[\\s>/])", "i"), re("</" .. tag .. "(?=[\\s>])", "i")
  local want = re("([<>]=?|==|!=)\\s*(-?\\d+)")
  local op, n = want:match(relation)
  n = tonumber(n)
  return function(msg)
    if not sa_has_html(msg) then return false end
    local first = open:test(msg.rawbody)
    if not first then return false end
    local left = sa_count(open, msg.rawbody) - sa_count(close, msg.rawbody)
    if op == ">" then return left > n elseif op == "<" then return left < n elseif op == ">=" then return left >= n
    elseif op == "<=" then return left <= n elseif op == "!=" then return left ~= n end
    return left == n
  end
end]==])

add("check_no_relays", [==[
local function sa_check_no_relays()
  return function(msg) return msg:header_count("Received") == 0 end
end]==])

add("check_all_trusted", [==[
local sa_private = re("^(?:10\\.|127\\.|192\\.168\\.|172\\.(?:1[6-9]|2\\d|3[01])\\.)")
local function sa_check_all_trusted()
  return function(msg) return msg:header_count("Received") > 0 and not msg:relays():find("ip=") end
end]==])

add("check_for_shifted_date", [==[
local sa_months = { jan = 1, feb = 2, mar = 3, apr = 4, may = 5, jun = 6, jul = 7, aug = 8, sep = 9, oct = 10, nov = 11, dec = 12 }
local sa_zones = { ut = 0, gmt = 0, est = -500, edt = -400, cst = -600, cdt = -500, mst = -700, mdt = -600, pst = -800, pdt = -700, z = 0 }
local sa_date = re("(\\d{1,2})\\s+(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\\.?\\s+(\\d{2,4})\\s+(\\d{1,2}):(\\d\\d)(?::(\\d\\d))?(?:\\s*(am|pm))?(?:\\s*([-+]\\d{4}|[a-z]{1,4}))?", "i")
local function sa_time(text)
  local d, mon, y, h, min, s, half, zone = sa_date:match(text)
  if not d then return nil end
  y = tonumber(y)
  if #tostring(y) <= 2 then y = y < 70 and y + 2000 or y + 1900 end
  local m = sa_months[mon:lower()]
  local a = m <= 2 and 1 or 0
  local yy, mm = y + 4800 - a, m + 12 * a - 3
  local days = tonumber(d) + (153 * mm + 2) // 5 + 365 * yy + yy // 4 - yy // 100 + yy // 400 - 32045 - 2440588
  local hour = tonumber(h)
  if half and half:lower() == "pm" and hour < 12 then hour = hour + 12 end
  local offset = 0
  if zone then
    local n = tonumber(zone)
    if not n then n = sa_zones[zone:lower()] or 0 end
    local sign = n < 0 and -1 or 1
    n = math.abs(n)
    offset = sign * ((n // 100) * 60 + n % 100)
  end
  return days * 86400 + hour * 3600 + tonumber(min) * 60 + tonumber(s or 0) - offset * 60
end
local function sa_shift(msg)
  local date = msg:header("Date")
  local sent = date and sa_time(date)
  if not sent then return nil end
  local least
  for _, received in ipairs(msg:headers("Received")) do
    local at
    for from = #received, 1, -1 do
      if received:sub(from, from) == ";" then at = sa_time(received:sub(from)) break end
    end
    if at then
      local shift = sent - at
      if not least or math.abs(shift) < math.abs(least) then least = shift end
    end
  end
  return least
end
local function sa_check_for_shifted_date(min, max)
  min, max = tonumber(min), tonumber(max)
  return function(msg)
    local shift = sa_shift(msg)
    if not shift then return false end
    return (not min or shift >= min * 3600) and (not max or shift < max * 3600)
  end
end]==])

add("check_base64_length", [==[
local function sa_check_base64_length(min, max)
  min, max = tonumber(min), tonumber(max)
  return function(msg)
    local longest = 0
    for _, p in ipairs(msg.parts) do
      if p.encoding == "base64" then longest = math.max(longest, p.longest_line or 0) end
    end
    return longest >= min and (not max or longest <= max)
  end
end]==])

add("check_ma_non_text", [==[
local sa_type_ok = re("^(?:text|multipart|message)/|^application/(?:pgp-|rtf|ms-tnef)", "i")
local function sa_check_ma_non_text()
  return function(msg)
    local root = msg.parts[1]
    if not root or root.type ~= "multipart/alternative" then return false end
    for _, p in ipairs(msg.parts) do
      if p.parent == 1 and not sa_type_ok:test(p.type) then return true end
    end
  end
end]==])

add("check_iframe_src", [==[
local sa_iframe = re("<iframe\\s[^>]*?src\\s*=\\s*[\"']?(?:cid|3dcid):", "i")
local function sa_check_iframe_src()
  return function(msg) return sa_iframe:test(msg.rawbody) end
end]==])

add("check_microsoft_executable", [==[
local sa_exe = re("\\.(?:bat|com|exe|pif|scr|dll|vbs|cmd)$", "im")
local function sa_check_microsoft_executable()
  return function(msg)
    for _, p in ipairs(msg.parts) do
      if p.real_type == "application/x-dosexec" then return true end
    end
    return sa_exe:test(msg.file_names)
  end
end]==])

add("check_ratware_envelope_from", [==[
local function sa_check_ratware_envelope_from()
  return function(msg)
    local to = msg:address("To")
    local from = msg.sender ~= "" and msg.sender or (msg:address("Return-Path") or { addr = "" }).addr
    if not to or to.user == "" or from == "" then return false end
    return from:lower():find("." .. to.domain:lower() .. "." .. to.user:lower() .. "@") ~= nil
  end
end]==])

add("check_outlook_message_id", [==[
local sa_outlook = re("^<[0-9a-f]{4}([0-9a-f]{8})\\$[0-9a-f]{8}\\$[0-9a-f]{8}\\@")
local function sa_check_outlook_message_id()
  return function(msg)
    local part = sa_outlook:match(msg:header("Message-ID"))
    if not part then return false end
    local token = tonumber("0x" .. part)
    local function near(text)
      local seconds = text and sa_time(text)
      if not seconds then return false end
      local expected = math.floor((seconds * 10000000 + 116444736000000000) / 4294967296 * 1) -- the upper half of Windows' file time
      return math.abs(expected - token) < 64 * 60 * 10000000 / 4294967296 + 64
    end
    if near(msg:header("Date")) then return false end
    for _, received in ipairs(msg:headers("Received")) do
      if near(received) then return false end
    end
    return true
  end
end]==])

add("check_uri_truncated", [==[
local function sa_check_uri_truncated()
  return function(msg)
    for _, l in ipairs(msg.links) do
      if #l.raw > 8192 then return true end
    end
  end
end]==])

add("check_https_ip_mismatch", [==[
local function sa_check_https_ip_mismatch()
  return function(msg)
    for _, l in ipairs(msg.links) do
      if l.is_ip and l.source == "html" and l.shown:lower():starts("https:") then return l.host end
    end
  end
end]==])

add("check_unresolved_template", [==[
local sa_template = re("%[A-Z][A-Z_-]")
local function sa_check_unresolved_template()
  return function(msg)
    for _, name in ipairs(msg:header_names()) do
      local n = name:lower()
      if not n:starts("x-") and n ~= "subject" and n ~= "received" and sa_template:test(msg:raw_header(name)) then return name end
    end
  end
end]==])

add("check_abundant_unicode_ratio", [==[
local sa_entity = re("&#x?[0-9a-f]{2,};", "i")
local function sa_check_abundant_unicode_ratio(min, max)
  min, max = tonumber(min), tonumber(max)
  return function(msg)
    local raw = msg.rawbody
    if #raw == 0 then return false end
    local ratio = sa_count(sa_entity, raw) / #raw
    return ratio >= min and (not max or ratio < max)
  end
end]==])

add("check_body_8bits", [==[
local sa_8bit = re("[\\x80-\\xff]{8,}")
local function sa_check_body_8bits()
  return function(msg) return sa_8bit:test(msg.text) end
end]==])

return evals
