-- structure.lua - how the mail is put together.

local word, high, letters = re([[\b[a-z]{2,}\b]], "i"), re("[\x80-\xff]"), re("[^\\s\\x21-\\x2f]")
local shouted = re([[\b[A-Z]{3,}\b]])
local asian = re([[^(?:gb2312|gbk|gb18030|big5|euc-kr|ks_c_5601-1987|iso-2022-kr)]], "i")
local made_up = re([[(?:^|\n)\s*((?=[a-z0-9]*\d)[a-z]+\d+[a-z]+[a-z0-9]*(?:-?[a-z0-9]+)?|[a-z]{14,30})\s*$]])
local archive = re([[\.(?:zip|rar|7z|gz|tgz|tar|ace|arj|cab|xz|z)$]], "im")

local function text_parts(msg)
  local plain, html = 0, 0
  for _, part in ipairs(msg.parts) do
    if part.reading == 0 and part.kind == "text" then plain = plain + 1 end
    if part.reading == 0 and part.kind == "html" then html = html + 1 end
  end
  return plain, html
end

rule {
  symbol = "HTML_ONLY", score = 1.1, group = "structure",
  description = "HTML without a plain text beside it",
  tests = {
    { headers = { Subject = "x" }, html = "<p>Hello</p>", hit = true },
    { headers = { Subject = "x" }, html = "<p>Hello</p>", text = "Hello", hit = false },
    { headers = { Subject = "x" }, text = "Hello", hit = false },
  },
  needs = { "files" },
  when = function(msg)
    local plain, html = text_parts(msg)
    return html > 0 and plain == 0
  end,
}

rule {
  symbol = "HTML_SHORT_PICTURE", score = 1.4, group = "structure",
  description = "A picture in HTML, and next to no words",
  tests = {
    { headers = { Subject = "x" }, html = "<a href=\"http://x.example/\"><img src=\"http://x.example/a.jpg\"></a>", hit = true },
    { headers = { Subject = "x" }, html = ("<p>A long letter with many words in it.</p>"):rep(20) .. "<img src=\"http://x.example/a.jpg\">", hit = false },
  },
  needs = { "text", "urls", "files" },
  when = function(msg)
    local _, html = text_parts(msg)
    if html == 0 or word:count(msg.text, 60) >= 60 then return false end
    for _, link in ipairs(msg.links) do
      if link.source == "image" then return link.host end
    end
  end,
}

rule {
  symbol = "HTML_BASE64", score = 0.8, group = "structure",
  description = "HTML in base64, though it is mostly ASCII",
  tests = {
    { raw = "Subject: x\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: base64\n\n" ..
      "PHA+SGVsbG8gdGhlcmUsIHRoaXMgaXMgYSBsZXR0ZXI8L3A+\n", hit = true },
    { headers = { Subject = "x" }, html = "<p>Hello</p>", hit = false },
  },
  needs = { "text", "files" },
  when = function(msg)
    for _, part in ipairs(msg.parts) do
      if part.kind == "html" and part.encoding == "base64" and high:count(msg.text, 100) * 10 < #msg.text then return true end
    end
  end,
}

rule {
  symbol = "TEXT_BASE64", score = 0.1, group = "structure",
  description = "Plain text in base64, though it is mostly ASCII",
  tests = {
    { raw = "Subject: x\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n" ..
      "SGVsbG8gdGhlcmUsIHRoaXMgaXMgYSBsZXR0ZXI=\n", hit = true },
    { headers = { Subject = "x" }, text = "Hello", hit = false },
  },
  needs = { "text", "files" },
  when = function(msg)
    if msg:header("List-Id") then return false end
    for _, part in ipairs(msg.parts) do
      if part.kind == "text" and part.encoding == "base64" and part.disposition ~= "attachment" and part.file_name == ""
        and high:count(msg.text, 100) * 10 < #msg.text then return true end
    end
  end,
}

rule {
  symbol = "CHARSET_ASIAN_LEGACY", score = 0.1, group = "structure",
  description = "Text in a legacy charset of East Asia",
  tests = {
    { raw = "Subject: x\nContent-Type: text/plain; charset=gb2312\n\nhello\n", hit = true },
    { headers = { Subject = "x" }, text = "Hello", hit = false },
  },
  needs = { "files" },
  when = function(msg)
    for _, part in ipairs(msg.parts) do
      if asian:test(part.charset) then return part.charset end
    end
  end,
}

rule {
  symbol = "MIME_VERSION_MISSING", score = 0.1, group = "structure", missing = "MIME-Version", header = "Content-Type",
  matches = [[^\s*(?:text/html|multipart/(?:alternative|related))]],
  description = "HTML or alternatives, but no MIME-Version",
  tests = {
    { raw = "Subject: x\nContent-Type: text/html\n\n<p>x</p>\n", hit = true },
    { raw = "Subject: x\nMIME-Version: 1.0\nContent-Type: text/html\n\n<p>x</p>\n", hit = false },
    { raw = "Subject: x\nContent-Type: text/plain\n\nx\n", hit = false },
  },
}

rule {
  symbol = "BODY_EMPTY", score = 1.4, group = "structure",
  description = "Nothing to read at all",
  tests = {
    { headers = { Subject = "x" }, text = " ", hit = true },
    { headers = { Subject = "x" }, text = "Hello, are you there?", hit = false },
  },
  needs = { "text" },
  when = function(msg) return letters:count(msg.text, 8) < 8 end,
}

rule {
  symbol = "TEXT_SHOUTS", score = 0.1, group = "structure",
  description = "Much of the text is in capitals",
  tests = {
    { headers = { Subject = "x" }, text = ("BUY THIS NOW AND SAVE MONEY TODAY "):rep(5), hit = true },
    { headers = { Subject = "x" }, text = ("An ordinary letter, written to NASA. "):rep(5), hit = false },
  },
  needs = { "text" },
  when = function(msg)
    local text = msg.text:sub(1, 2048)
    return #text > 100 and shouted:count(text, 100) * 3 > word:count(text, 300)
  end,
}

rule {
  symbol = "TEXT_MARKS", score = 1.3, group = "structure", body = [[!{3,}|\${3,}|[!?]{5,}]],
  description = "Rows of exclamation marks or dollar signs",
  tests = {
    { headers = { Subject = "x" }, text = "Buy now!!!", hit = true },
    { headers = { Subject = "x" }, text = "Buy now!", hit = false },
  },
}

rule {
  symbol = "TEXT_RANDOM_WORDS", score = 0.1, group = "structure",
  description = "Ends in a made-up word: to make each copy differ",
  tests = {
    { headers = { Subject = "x" }, text = "Buy it.\n\nqkd83jdkw2k", hit = true },
    { headers = { Subject = "x" }, text = "Regards,\nAnn", hit = false },
  },
  needs = { "text" },
  when = function(msg) return made_up:match(msg.text:sub(-120)) end,
}

rule {
  symbol = "ATTACHMENT_HTML", score = 0.1, group = "structure", file_name = [[\.(?:s?html?|xht(?:ml)?|svg|mht(?:ml)?)$]],
  description = "A web page or drawing as an attachment: opened outside of the mail program's care",
  tests = {
    { headers = { Subject = "x" }, text = "y", attachments = { { name = "invoice.html", type = "text/html", data = "<p>x" } }, hit = true },
    { headers = { Subject = "x" }, text = "y", attachments = { { name = "report.pdf" } }, hit = false },
  },
}

rule {
  symbol = "ATTACHMENT_PROGRAM", score = 4.0, group = "structure",
  file_name = [[\.(?:exe|scr|pif|com|bat|cmd|vbs|vbe|jse?|wsf|wsh|hta|lnk|cpl|msi|jar|ps1|iso|img|vhdx?|reg|chm|application|xll|appx|msix|scf|url|library-ms)$]],
  description = "A program, or a thing that starts one",
  tests = {
    { headers = { Subject = "x" }, text = "y", attachments = { { name = "invoice.pdf.exe" } }, hit = true },
    { headers = { Subject = "x" }, text = "y", attachments = { { name = "report.docx" } }, hit = false },
  },
}

rule {
  symbol = "ATTACHMENT_ARCHIVE_ALONE", score = 0.1, group = "structure",
  description = "An archive, and hardly a word about it",
  tests = {
    { headers = { Subject = "x" }, text = "see it", attachments = { { name = "a.zip", type = "application/zip" } }, hit = true },
    { headers = { Subject = "x" }, text = ("An ordinary letter with many words. "):rep(12), attachments = { { name = "a.zip" } }, hit = false },
  },
  needs = { "text", "files" },
  when = function(msg)
    return archive:test(msg.file_names) and word:count(msg.text, 50) < 50
  end,
}

rule {
  symbol = "PASSWORD_FOR_ARCHIVE", score = 2.0, group = "structure", all = { "ARCHIVE_ENCRYPTED" },
  body = [=[\b(?:password|passwort|passcode|mot de passe|contrase.{1,2}a|senha|pin|zip code)\b.{0,12}[:=]]=],
  description = "An archive under a password, and the password beside it",
  tests = {
    { headers = { Subject = "x" }, text = "Password: 1234", attachments = { { name = "a.txt" } }, hit = false },
  },
}

rule {
  symbol = "TABLE_OF_PICTURES", score = 0.1, group = "structure",
  description = "Far more pictures than a letter has, and few words",
  tests = {
    { headers = { Subject = "x" }, html = ("<img src=\"http://x.example/a.gif\">"):rep(12) .. "<p>Buy</p>", hit = true },
    { headers = { Subject = "x" }, html = "<img src=\"http://x.example/a.gif\"><p>Buy</p>", hit = false },
  },
  needs = { "text", "urls" },
  when = function(msg)
    local n = 0
    for _, link in ipairs(msg.links) do
      if link.source == "image" then n = n + 1 end
    end
    return n >= 8 and word:count(msg.text, 200) < n * 12
  end,
}
