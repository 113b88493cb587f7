-- headers.lua - what the header says about who wrote the mail, and with what.

local freemail = {}
for _, d in ipairs { "gmail.com", "googlemail.com", "yahoo.com", "yahoo.co.uk", "yahoo.fr", "yahoo.de", "ymail.com",
  "hotmail.com", "hotmail.co.uk", "hotmail.fr", "outlook.com", "outlook.fr", "live.com", "msn.com", "aol.com", "gmx.com",
  "gmx.de", "gmx.net", "web.de", "mail.com", "mail.ru", "yandex.com", "yandex.ru", "protonmail.com", "proton.me",
  "icloud.com", "me.com", "zoho.com", "excite.com", "lycos.com", "netscape.net", "email.com", "usa.net", "163.com",
  "126.com", "qq.com", "sina.com", "naver.com", "libero.it", "virgilio.it", "orange.fr", "t-online.de", "rediffmail.com",
  "tutanota.com", "terra.com.br", "uol.com.br", "bol.com.br" } do
  freemail[d] = true
end

local digits_run = re([[\d{5,}|(?:\d\D?){6,}]])
local random_label = re([[(?:^|\.)((?=[a-z0-9-]*\d)(?=[a-z0-9-]*[a-z]\d+[a-z]+\d)[a-z0-9]{10,}|[bcdfghjklmnpqrstvwxz]{6,}[a-z0-9]*)\.]], "i")
local urgent = re([[^\s*(?:1\b|high|urgent)]], "i")
local answer = re([[^\s*re(?:\[\d+\])?:]], "i")
local bare_ip = re([[^\d+\.\d+\.\d+\.\d+$]])

local function is_list(msg)
  return msg:header("List-Id") or msg:header("List-Post") or msg:header("List-Unsubscribe") or msg:header("Sender") or
    msg:header("Mailing-List") or msg:header("X-BeenThere")
end

rule {
  symbol = "REPLY_TO_ELSEWHERE", score = 0.3, group = "headers",
  description = "Replies leave the author's domain, and it is no mailing list",
  tests = {
    { headers = { From = "a@shop.example", ["Reply-To"] = "b@other.example" }, hit = true },
    { headers = { From = "a@shop.example", ["Reply-To"] = "b@mail.shop.example" }, hit = false },
    { headers = { From = "a@shop.example", ["Reply-To"] = "l@lists.example", ["List-Id"] = "<l.lists.example>" }, hit = false },
    { headers = { From = "a@shop.example" }, hit = false },
  },
  when = function(msg)
    local from, reply = msg:address("From"), msg:address("Reply-To")
    return from and reply and from.domain ~= "" and reply.domain ~= "" and reply.site ~= from.site and not is_list(msg)
      and reply.domain
  end,
}

rule {
  symbol = "REPLY_TO_FREEMAIL", score = 0.1, group = "headers",
  description = "Written from a domain of its own, to be answered at a free mailbox",
  tests = {
    { headers = { From = "ceo@firm.example", ["Reply-To"] = "ceo.firm@gmail.com" }, hit = true },
    { headers = { From = "me@yahoo.com", ["Reply-To"] = "me@gmail.com" }, hit = false },
  },
  when = function(msg)
    local from, reply = msg:address("From"), msg:address("Reply-To")
    return from and reply and from.domain ~= "" and freemail[reply.domain] and not freemail[from.domain]
      and not is_list(msg) and reply.domain
  end,
}

rule {
  symbol = "REPLY_TO_OTHER_FREEMAIL", score = 0.1, group = "headers",
  description = "Written from one free mailbox, to be answered at another",
  tests = {
    { headers = { From = "a.one@yahoo.com", ["Reply-To"] = "b.two@hotmail.com" }, hit = true },
    { headers = { From = "a.one@yahoo.com", ["Reply-To"] = "a.one@yahoo.com" }, hit = false },
  },
  when = function(msg)
    local from, reply = msg:address("From"), msg:address("Reply-To")
    return from and reply and freemail[from.domain] and freemail[reply.domain] and from.addr:lower() ~= reply.addr:lower()
      and not msg:header("List-Id")
  end,
}

local words_address = re([[[\w.+-]{2,}@(?:[\w-]+\.)+[a-z]{2,}]], "i")

rule {
  symbol = "FROM_NAME_IS_OTHER_ADDRESS", score = 0.1, group = "headers",
  description = "The author's name shows an address that is not his",
  tests = {
    { headers = { From = "\"security@bank.example\" <x@evil.example>" }, hit = true },
    { headers = { From = "\"x@firm.example\" <x@firm.example>" }, hit = false },
    { headers = { From = "\"Ann Example\" <ann@firm.example>" }, hit = false },
  },
  when = function(msg)
    local from = msg:address("From")
    if not from then return false end
    local first, last = words_address:find(from.name)
    if not first then return false end
    local shown = from.name:sub(first, last):lower()
    return not shown:ends(from.site:lower()) and shown
  end,
}

rule {
  symbol = "TO_NOBODY", score = 0.5, group = "headers",
  description = "Undisclosed recipients, or none named at all",
  tests = {
    { headers = { From = "a@b.example", To = "undisclosed-recipients:;" }, hit = true },
    { headers = { From = "a@b.example", Subject = "x" }, hit = true },
    { headers = { From = "a@b.example", To = "c@d.example" }, hit = false },
    { headers = { From = "a@b.example", Cc = "c@d.example" }, hit = false },
  },
  when = function(msg)
    return not msg:address("To") and not msg:address("Cc") and not is_list(msg) and not msg:header("Auto-Submitted")
  end,
}

rule {
  symbol = "DATE_MISSING", score = 0.1, group = "headers", missing = "Date",
  description = "No Date: programs that write mail properly always give one",
  tests = {
    { headers = { From = "a@b.example" }, hit = true },
    { headers = { From = "a@b.example", Date = "Mon, 1 Jan 2024 10:00:00 +0000" }, hit = false },
  },
}

rule {
  symbol = "DATE_ODD", score = 1.7, group = "headers", header = "Date",
  lacks = [[^(?:(?:mon|tue|wed|thu|fri|sat|sun),?\s+)?\d{1,2}\s+(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\s+\d{4}\s+\d{1,2}:\d\d(?::\d\d)?\s+(?:[+-]\d{4}|[a-z]{1,5})\b]],
  description = "A Date of a shape that no mail program writes",
  tests = {
    { headers = { Date = "2024-01-01 10:00" }, hit = true },
    { headers = { Date = "Mon, 1 Jan 24 10:00:00 +0000" }, hit = true },
    { headers = { Date = "Mon, 1 Jan 2024 10:00:00 +0000 (GMT)" }, hit = false },
    { headers = { Date = "01 Jan 2024 10:00 GMT" }, hit = false },
  },
}

rule {
  symbol = "MESSAGE_ID_MISSING", score = 0.1, group = "headers", missing = "Message-ID", none = { "BOUNCE" },
  description = "No Message-ID: neither the author's program nor his server gave one",
  tests = {
    { headers = { From = "a@b.example" }, hit = true },
    { headers = { ["Message-Id"] = "<1@b.example>" }, hit = false },
  },
}

rule {
  symbol = "MESSAGE_ID_ODD", score = 0.9, group = "headers", header = "Message-ID",
  lacks = [[^\s*<[^<>@\s]+@(?:[^<>@\s]+\.[^<>@\s]+|localhost[^<>@\s]*|[\w-]{2,})>]],
  description = "A Message-ID that is not of the form <unique@host>",
  tests = {
    { headers = { ["Message-ID"] = "1234567" }, hit = true },
    { headers = { ["Message-ID"] = "<>" }, hit = true },
    { headers = { ["Message-ID"] = "<abc.1@mail.example>" }, hit = false },
  },
}

rule {
  symbol = "MESSAGE_ID_FOREIGN_FREEMAIL", score = 0.7, group = "headers",
  description = "From a free mailbox, but its provider did not number it",
  tests = {
    { headers = { From = "joe1234@hotmail.com", ["Message-ID"] = "<0001@pc.localdomain>" }, hit = true },
    { headers = { From = "joe1234@hotmail.com", ["Message-ID"] = "<0001@hotmail.com>" }, hit = false },
    { headers = { From = "joe@firm.example", ["Message-ID"] = "<0001@pc.localdomain>" }, hit = false },
  },
  when = function(msg)
    local from, id = msg:address("From"), msg:header("Message-ID")
    if not from or not id or is_list(msg) then return false end
    if not (from.domain == "hotmail.com" or from.domain == "yahoo.com" or from.domain == "aol.com" or
      from.domain == "msn.com" or from.domain == "excite.com") then return false end
    id = id:lower()
    local name = from.domain:sub(1, from.domain:find(".") - 1)
    return not id:find(name) and not id:find("phx.gbl") and not id:find("outlook") and not id:find("mail.com")
  end,
}

rule {
  symbol = "FROM_DIGITS", score = 0.1, group = "headers",
  description = "The author's address is full of digits",
  tests = {
    { headers = { From = "mike9273645@firm.example" }, hit = true },
    { headers = { From = "ann1975@firm.example" }, hit = false },
    { headers = { From = "bounce-20240101-1234@lists.example", ["List-Id"] = "<x.lists.example>" }, hit = false },
  },
  when = function(msg)
    local from = msg:address("From")
    return from and not is_list(msg) and digits_run:test(from.user) and from.user
  end,
}

rule {
  symbol = "FROM_RANDOM_HOST", score = 0.1, group = "headers",
  description = "The author's domain looks made up by a program",
  tests = {
    { headers = { From = "a@xk7qpzr9wvt2b.example" }, hit = true },
    { headers = { From = "a@sub.firm.example" }, hit = false },
    { headers = { From = "a@students.university.example" }, hit = false },
  },
  when = function(msg)
    local from = msg:address("From")
    if not from or from.domain == "" then return false end
    return random_label:match(from.domain)
  end,
}

rule {
  symbol = "FROM_NO_DOT", score = 2.5, group = "headers",
  description = "The author's address has no domain, or one without a dot",
  tests = {
    { headers = { From = "Admin <admin@server>" }, hit = true },
    { headers = { From = "Admin" }, hit = true },
    { headers = { From = "a@b.example" }, hit = false },
    { headers = { From = "MAILER-DAEMON (Mail Delivery System)", ["Auto-Submitted"] = "auto-replied" }, hit = false },
  },
  when = function(msg)
    if not msg:header("From") or msg:header("Auto-Submitted") then return false end
    local from = msg:address("From")
    local user = from and from.user:lower() or ""
    if user == "mailer-daemon" or user == "postmaster" or msg:header("From"):lower():find("mailer-daemon") then return false end
    return not from or not from.domain:find(".")
  end,
}

rule {
  symbol = "FROM_IS_TO", score = 0.2, group = "headers",
  description = "Author and recipient are the same address",
  tests = {
    { headers = { From = "me@firm.example", To = "Me <ME@firm.example>" }, hit = true },
    { headers = { From = "me@firm.example", To = "you@firm.example" }, hit = false },
  },
  when = function(msg)
    local from, to = msg:address("From"), msg:address("To")
    return from and to and from.addr ~= "" and from.addr:lower() == to.addr:lower() and not is_list(msg)
  end,
}

rule {
  symbol = "FROM_NAME_SHOUTS", score = 0.7, group = "headers", header = "From", matches = { [[^"?[^a-z<@]*[A-Z]{3,}[^a-z<@]+[A-Z]{2,}[^a-z<@]*"?\s*<]], "" },
  description = "The author's name is all capitals, of several words",
  tests = {
    { headers = { From = "MR JAMES OKORO <j@x.example>" }, hit = true },
    { headers = { From = "James Okoro <j@x.example>" }, hit = false },
    { headers = { From = "NASA <j@x.example>" }, hit = false },
  },
}

rule {
  symbol = "MAILER_BULK", score = 0.1, group = "headers", header = "X-Mailer",
  matches = [[\b(?:bulk ?mail|mass ?mail|group ?mail|emailer|direct ?mail|mailking|advanced mass|the ?bat! \(v1\.|aristotle|worldmerge|eboomer|dm ?mailer|leaf ?mailer|king ?mailer|smart_send|microsoft cdo for windows 2000|phpmailer [1-4]\.|swiftmailer|python smtplib|e-?mail ?sender)]],
  description = "Sent by a program that sends to very many",
  tests = {
    { headers = { ["X-Mailer"] = "PHPMailer 6.9.1" }, hit = false },
    { headers = { ["X-Mailer"] = "LeafMailer 2.7" }, hit = true },
    { headers = { ["X-Mailer"] = "Apple Mail (2.3445.9.1)" }, hit = false },
  },
}

rule {
  symbol = "OUTLOOK_WITHOUT_MARKS", score = 0.8, group = "headers",
  description = "Says it is Outlook Express, but lacks the marks that program always left",
  tests = {
    { headers = { ["X-Mailer"] = "Microsoft Outlook Express 6.00.2600.0000", ["Message-ID"] = "<1@x.example>" }, hit = true },
    { headers = { ["X-Mailer"] = "Microsoft Outlook Express 6.00.2600.0000", ["X-MimeOLE"] = "Produced By Microsoft MimeOLE V6.00.2600.0000", ["Message-ID"] = "<000c01c1a$1@x>" }, hit = false },
  },
  when = function(msg)
    local mailer = msg:header("X-Mailer")
    return mailer and mailer:lower():find("outlook express") and not msg:header("X-MimeOLE") and not is_list(msg)
  end,
}

rule {
  symbol = "PRIORITY_HIGH", score = 1.5, group = "headers",
  description = "Marked urgent by its author, which friends seldom do",
  tests = {
    { headers = { ["X-Priority"] = "1 (Highest)" }, hit = true },
    { headers = { Importance = "High" }, hit = true },
    { headers = { ["X-Priority"] = "3" }, hit = false },
  },
  when = function(msg)
    return urgent:test(msg:header("X-Priority")) or urgent:test(msg:header("Importance")) or urgent:test(msg:header("Priority"))
  end,
}

rule {
  symbol = "REPLY_WITHOUT_THREAD", score = 0.1, group = "headers",
  description = "The subject claims an answer, but the mail answers nothing",
  tests = {
    { headers = { Subject = "Re: your account", From = "a@b.example" }, hit = true },
    { headers = { Subject = "Re: your account", ["In-Reply-To"] = "<1@b.example>" }, hit = false },
    { headers = { Subject = "Your account" }, hit = false },
  },
  when = function(msg)
    return answer:test(msg.subject) and not msg:header("In-Reply-To") and not msg:header("References")
      and not msg:header("Thread-Index") and not is_list(msg)
  end,
}

rule {
  symbol = "HELO_IS_ADDRESS", score = 1.4, group = "headers",
  description = "The client gave a bare IP address as its name",
  tests = {
    { headers = { Subject = "x" }, helo = "192.0.2.7", client = "192.0.2.7", hit = true },
    { headers = { Subject = "x" }, helo = "[192.0.2.7]", client = "192.0.2.7", hit = false },
    { headers = { Subject = "x" }, helo = "mail.firm.example", hit = false },
  },
  when = function(msg) return bare_ip:test(msg.helo) and msg.login == "" end,
}

rule {
  symbol = "HELO_NO_DOT", score = 1.0, group = "headers",
  description = "The client's name is no host name: a home computer's, or made up",
  tests = {
    { headers = { Subject = "x" }, helo = "DESKTOP-7F2A", hit = true },
    { headers = { Subject = "x" }, helo = "DESKTOP-7F2A", login = "ann", hit = false },
    { headers = { Subject = "x" }, helo = "mail.firm.example", hit = false },
    { headers = { Subject = "x" }, helo = "", hit = false },
  },
  when = function(msg)
    return msg.helo ~= "" and msg.login == "" and not msg.helo:find(".") and not msg.helo:find(":") and msg.helo
  end,
}

rule {
  symbol = "SENDER_OTHER_FREEMAIL", score = 0.8, group = "headers",
  description = "The envelope's sender is a free mailbox, the author another domain's",
  tests = {
    { headers = { From = "billing@firm.example" }, sender = "joe@gmail.com", hit = true },
    { headers = { From = "joe@gmail.com" }, sender = "joe@gmail.com", hit = false },
  },
  when = function(msg)
    local from = msg:address("From")
    local at = msg.sender:find("@")
    return at and from and from.domain ~= "" and freemail[msg.sender:sub(at + 1):lower()] and not freemail[from.domain]
      and not is_list(msg)
  end,
}
