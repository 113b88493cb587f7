-- bulk.lua - sent to many; and what speaks for a mail: being part of a conversation.

local report = re([[^\s*multipart/report\b.*(?:delivery-status|disposition-notification|feedback-report)]], "is")
local daemon = re([[mailer-daemon|\bpostmaster\b|mail delivery|\b(?:system administrator|internet mail delivery|mail administrator)]], "i")
local undelivered = re([[undeliver|delivery|returned|return(?:ing)? mail|failure|failed|could ?not|unable|mail system error|rejected|warning]], "i")
local quoted = re([[(?:^|\n)\s?(?:>|\|) ?\S]])

rule {
  symbol = "IN_CONVERSATION", score = -2.5, group = "bulk",
  description = "Answers a mail by its number, and quotes it",
  tests = {
    { headers = { Subject = "Re: lunch", ["In-Reply-To"] = "<1@b.example>" }, text = "Yes!\n\n> Lunch on Friday?\n> Ann", hit = true },
    { headers = { Subject = "Re: lunch" }, text = "> Lunch on Friday?", hit = false },
  },
  needs = { "text" },
  when = function(msg)
    return (msg:header("In-Reply-To") or msg:header("References")) and quoted:test(msg.text)
  end,
}

rule {
  symbol = "BOUNCE", score = -2.5, group = "bulk",
  description = "A report on the delivery of another mail, or a server's answer to one",
  tests = {
    { raw = "From: MAILER-DAEMON@mx.example\nSubject: Undelivered\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nx\n--b--\n", hit = true },
    { headers = { From = "Mail Delivery Subsystem <MAILER-DAEMON@mx.example>", Subject = "Returned mail: see transcript" }, hit = true },
    { headers = { From = "ann@firm.example", Subject = "failure notice" }, hit = false },
  },
  when = function(msg)
    if report:test(msg:header("Content-Type")) then return true end
    return daemon:test(msg:header("From")) and undelivered:test(msg.subject)
  end,
}

rule {
  symbol = "SIGNED_LIST_POST", score = -2.1, group = "bulk", present = { "List-Post", "X-Mailman-Version" },
  description = "A post of a discussion list",
  tests = {
    { headers = { ["List-Post"] = "<mailto:l@lists.example>" }, hit = true },
    { headers = { ["List-Unsubscribe"] = "<mailto:l@lists.example>" }, hit = false },
  },
}

rule {
  symbol = "PATCH_OR_CODE", score = -0.6, group = "bulk", body = { [[(?:^|\n)(?:diff --git |--- a/|\+\+\+ b/|@@ -\d+,\d+ \+\d+)]], "" },
  description = "Carries a patch",
  tests = {
    { headers = { Subject = "x" }, text = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n", hit = true },
    { headers = { Subject = "x" }, text = "What is the difference?", hit = false },
  },
}

rule {
  symbol = "BULK_MANY_SITES_OF_ONE", score = 0.1, group = "bulk",
  description = "Ten links or more, all to one site",
  tests = {
    { headers = { Subject = "x" }, html = ("<a href=\"http://x.example/a\">a</a> "):rep(12), hit = true },
    { headers = { Subject = "x" }, html = "<a href=\"http://x.example/a\">a</a>", hit = false },
  },
  needs = { "urls" },
  when = function(msg)
    local site, n = nil, 0
    for _, link in ipairs(msg.links) do
      if link.source == "html" then
        if site and link.site ~= site then return false end
        site, n = link.site, n + 1
      end
    end
    return n >= 10 and not msg:header("List-Id") and site
  end,
}

rule {
  symbol = "BULK_LAW_QUOTED", score = 0.1, group = "bulk",
  body = [[\b(?:bill s\.? ?1618|section 301|under bill|can-?spam act|this (?:message|e-?mail) (?:is|was) (?:sent )?in (?:full )?compliance|not (?:be )?considered spam|cannot be considered spam|house bill|h\.?r\.? ?\d{4})\b]],
  description = "Quotes a law by which it is no spam",
  tests = {
    { headers = { Subject = "x" }, text = "Under Bill S.1618 Title III this mail cannot be considered spam", hit = true },
    { headers = { Subject = "x" }, text = "Section 30 of the manual", hit = false },
  },
}

rule {
  symbol = "BULK_ADDRESS_LISTS", score = 0.1, group = "bulk",
  body = [[\b(?:(?:million|\d[\d,.]{0,12}000|fresh|targeted|bulk|opt-?in|e-?mail) (?:e-?mail )?(?:addresses|leads|lists?)\b|bulk e-?mail\w*|e-?mail (?:marketing campaign|blast|lists?|extractor|harvest\w*)|mass mail\w*|reach millions|seo (?:services?|experts?|agency)|first page of google|search engine (?:submission|rankings?)|website (?:traffic|visitors|ranking)|web ?design (?:services?|company)|backlinks?)\b]],
  description = "Sells addresses, sending, or a place in search engines",
  tests = {
    { headers = { Subject = "x" }, text = "10 million email addresses on CD", hit = true },
    { headers = { Subject = "x" }, text = "What is your address?", hit = false },
  },
}

rule {
  symbol = "BULK_TOLL_FREE", score = 0.1, group = "bulk",
  body = [[\b1?[\s.-]?\(?8(?:00|33|44|55|66|77|88)\)?[\s.-]\d{3}[\s.-]\d{4}\b]],
  description = "A toll-free number to call",
  tests = {
    { headers = { Subject = "x" }, text = "Call 1-800-555-0199", hit = true },
    { headers = { Subject = "x" }, text = "Call 030 1234567", hit = false },
  },
}

rule {
  symbol = "BULK_UNSUBSCRIBE_WITHOUT_HEADER", score = 0.1, group = "bulk", missing = { "List-Unsubscribe", "List-Id", "X-Mailman-Version" },
  body = [[\b(?:unsubscribe|opt[- ]?out|remov(?:e|al) (?:from|instructions|request)|abmelden|se d[ée]sabonner|d[ée]sinscri\w+|darse de baja|cancelar (?:a )?(?:inscri|assinatura)|uitschrijven)\b]],
  description = "Speaks of unsubscribing, but has no header for it: honest bulk mail has",
  tests = {
    { headers = { Subject = "x" }, text = "Click here to unsubscribe", hit = true },
    { headers = { Subject = "x", ["List-Unsubscribe"] = "<mailto:x@y.example>" }, text = "Click here to unsubscribe", hit = false },
  },
}
