-- links.lua - where the mail wants the reader to go.

local odd_host = re([[^[a-z]+://([^/?#]*%[0-9a-f]{2}[^/?#]*|\d{8,}|0x[0-9a-f]+|0\d+\.\d+\.\d+\.\d+)(?:[/?#:]|$)]], "i")
local word = re([[\b[a-z]{2,}\b]], "i")
local click = re([[^\W*(?:please )?(?:click|tap|press|go)(?: (?:on|right|the))? ?(?:here|below|now|this link|link|button)?\b[^\n]{0,24}$]], "i")

-- A link that a person would follow; pictures and style sheets are fetched, not followed.
local function followed(link)
  return link.source ~= "image" and link.source ~= "css"
end

rule {
  symbol = "LINK_TO_ADDRESS", score = 1, group = "links", uri = [[^https?://(?:[^/@]*@)?\d{1,3}(?:\.\d{1,3}){3}(?:[:/?#]|$)]],
  description = "A link to a bare IP address",
  tests = {
    { headers = { Subject = "x" }, text = "see http://203.0.113.7/login", hit = true },
    { headers = { Subject = "x" }, text = "see http://firm.example/10.0.0.1/", hit = false },
  },
}

rule {
  symbol = "LINK_WITH_PORT", score = 0.1, group = "links",
  description = "A link to an unusual port",
  tests = {
    { headers = { Subject = "x" }, text = "see http://firm.example:8081/x", hit = true },
    { headers = { Subject = "x" }, text = "see https://firm.example:443/x", hit = false },
  },
  needs = { "urls" },
  when = function(msg)
    for _, link in ipairs(msg.links) do
      if link.port ~= 0 and link.port ~= 80 and link.port ~= 443 then return link.host .. ":" .. link.port end
    end
  end,
}

rule {
  symbol = "LINK_WITH_USER", score = 0.1, group = "links",
  description = "A link with a user name before its host, which hides the host",
  tests = {
    { headers = { Subject = "x" }, html = "<a href=\"http://www.bank.example@evil.example/\">x</a>", hit = true },
    { headers = { Subject = "x" }, html = "<a href=\"http://evil.example/a@b.example\">x</a>", hit = false },
  },
  needs = { "urls" },
  when = function(msg)
    for _, link in ipairs(msg.links) do
      if link.has_user then return link.url end
    end
  end,
}

rule {
  symbol = "LINK_SHORTENER", score = 1.4, group = "links",
  uri = [[^https?://(?:www\.)?(?:bit\.ly|tinyurl\.com|t\.co|goo\.gl|ow\.ly|is\.gd|buff\.ly|rebrand\.ly|cutt\.ly|shorturl\.at|rb\.gy|t\.ly|tiny\.cc|s\.id|lnkd\.in|bl\.ink|short\.gy|qrco\.de|urlz\.fr|v\.gd|adf\.ly|shorte\.st|t2m\.io|n9\.cl|x\.gd|2\.ly|snip\.ly|soo\.gd|clck\.ru|dlvr\.it|gg\.gg|kutt\.it|tiny\.one|linkr\.bio|linktr\.ee)/\w]],
  description = "A link that hides its target behind a shortener",
  tests = {
    { headers = { Subject = "x" }, text = "see https://bit.ly/3abcDEF", hit = true },
    { headers = { Subject = "x" }, text = "see https://rabbit.ly.example/x", hit = false },
  },
}

rule {
  symbol = "LINK_CHEAP_TLD", score = 0.1, group = "links",
  uri = [[^https?://[^/:?#]+\.(?:xyz|top|icu|click|live|club|shop|online|site|fun|buzz|rest|cyou|monster|space|website|store|tk|ml|ga|cf|gq|work|link|loan|win|bid|date|download|review|stream|trade|quest|sbs|cfd|bond|beauty|hair|skin|makeup|homes|autos|lol|best|life|world|today|info|biz|pw|su|cam|surf|email|agency)(?:[:/?#]|$)]],
  description = "A link below a top-level domain where names cost next to nothing",
  tests = {
    { headers = { Subject = "x" }, text = "see http://offer.top/x", hit = true },
    { headers = { Subject = "x" }, text = "see http://topshop.example/", hit = false },
  },
}

rule {
  symbol = "LINK_FREE_HOSTING", score = 0.1, group = "links",
  uri = [[^https?://[^/:?#]*(?:\.(?:web\.app|firebaseapp\.com|pages\.dev|workers\.dev|herokuapp\.com|netlify\.app|vercel\.app|glitch\.me|weebly\.com|wixsite\.com|blogspot\.[a-z.]+|azurewebsites\.net|web\.core\.windows\.net|blob\.core\.windows\.net|r2\.dev|ipfs\.dweb\.link|ngrok\.io|000webhostapp\.com|godaddysites\.com|square\.site|webflow\.io|repl\.co|plesk\.page|surge\.sh|onrender\.com|myftpupload\.com|duckdns\.org|ddns\.net|translate\.goog|backblazeb2\.com|linodeobjects\.com|digitaloceanspaces\.com|cloudfront\.net|appspot\.com|run\.app|on-fleek\.app|wpengine\.com|ukit\.me|yolasite\.com|jimdosite\.com|strikingly\.com|mystrikingly\.com|webnode\.[a-z]+|cprapid\.com))|^https?://(?:storage\.googleapis\.com|storage\.cloud\.google\.com|s3[.-][^/]*amazonaws\.com|[^/]*\.s3[.-][^/]*amazonaws\.com|firebasestorage\.googleapis\.com|ipfs\.io|cloudflare-ipfs\.com|sites\.google\.com|forms\.gle|docs\.google\.com/(?:forms|presentation)|forms\.office\.com|www\.geocities\.com|telegra\.ph)/]],
  description = "A link to a page that anybody may put up in a minute",
  tests = {
    { headers = { Subject = "x" }, text = "see https://login-page.web.app/", hit = true },
    { headers = { Subject = "x" }, text = "see https://storage.googleapis.com/xyz/index.html", hit = true },
    { headers = { Subject = "x" }, text = "see https://web.app.example/", hit = false },
  },
}

rule {
  symbol = "LINK_OPEN_REDIRECT", score = 0.1, group = "links",
  uri = [[^https?://[^\n]{4,}?[?&/=](?:url|u|q|redirect\w*|redir|goto|target|dest\w*|link|r|rurl|adurl|continue|next|to)=https?(?::|%3a)|^https?://(?:www\.)?(?:google\.[a-z.]+/(?:url|amp|travel/clk)|googleadservices\.com|[^/]*doubleclick\.net|l\.facebook\.com/l\.php|t\.umblr\.com/redirect|www\.youtube\.com/redirect|[^/]*\.safelinks\.protection\.outlook\.com|r\.search\.yahoo\.com|rd\.yahoo\.com|srd\.yahoo\.com|drs\.yahoo\.com|[^/]*list-manage\.com/track/click|[^/]*sendgrid\.net/(?:ls|wf)/click|www\.bing\.com/ck/a|slack-redir\.net)]],
  description = "A link that only passes the reader on to another",
  tests = {
    { headers = { Subject = "x" }, text = "see https://www.google.com/url?q=http://evil.example", hit = true },
    { headers = { Subject = "x" }, text = "see https://firm.example/?page=2", hit = false },
  },
}

rule {
  symbol = "LINK_DEEP_HOST", score = 0.1, group = "links", uri = [[^https?://(?:[^./:?#\n]{1,63}\.){5,}[^./:?#\n]+(?:[:/?#]|$)]],
  description = "A link whose host has six labels or more",
  tests = {
    { headers = { Subject = "x" }, text = "see http://www.bank.example.secure.login.evil.example/", hit = true },
    { headers = { Subject = "x" }, text = "see http://www.mail.firm.example/", hit = false },
  },
}

rule {
  symbol = "LINK_BAIT_WORDS", score = 0.1, group = "links",
  uri = [[^https?://[^/\n]*(?:login|signin|secure|verif|account|update|support|billing|wallet|webmail|paypal|apple|microsoft|office365|amazon|netflix|bank)[^/\n]*-[^/\n]*\.[a-z]{2,}|^https?://[^/\n]*-(?:login|signin|secure|verif\w*|account|update|support|billing|wallet|webmail|auth)\.]],
  description = "A host made of the words that calm people: secure-login-update",
  tests = {
    { headers = { Subject = "x" }, text = "see http://paypal-secure.evil.example/", hit = true },
    { headers = { Subject = "x" }, text = "see http://firm.example/login", hit = false },
  },
}

rule {
  symbol = "LINK_CARRIES_RECIPIENT", score = 0.1, group = "links",
  description = "A link carries the recipient's address",
  tests = {
    { headers = { To = "ann@firm.example", Subject = "x" }, text = "http://evil.example/login?e=ann@firm.example", hit = true },
    { headers = { To = "ann@firm.example", Subject = "x" }, text = "http://evil.example/#YW5uQGZpcm0uZXhhbXBsZQ==", hit = false },
    { headers = { To = "ann@firm.example", Subject = "x", ["List-Unsubscribe"] = "<http://l.example>" }, text = "http://l.example/u?e=ann@firm.example", hit = false },
  },
  needs = { "urls" },
  when = function(msg)
    local to = msg:address("To")
    if not to or to.domain == "" or msg:header("List-Unsubscribe") or msg:header("List-Id") then return false end
    local urls = msg.urls:lower()
    local addr = to.addr:lower()
    return urls:find(addr) ~= nil or urls:find(addr:sub(1, #to.user) .. "%40" .. to.domain) ~= nil
  end,
}

rule {
  symbol = "LINK_ENCODED_HOST", score = 0.1, group = "links",
  description = "A link written so that its host cannot be read: percent signs, whole numbers, hexadecimal",
  tests = {
    { headers = { Subject = "x" }, html = "<a href=\"http://3405803783/x\">x</a>", hit = true },
    { headers = { Subject = "x" }, html = "<a href=\"http://firm.example/%20x\">x</a>", hit = false },
  },
  needs = { "urls" },
  when = function(msg)
    for _, link in ipairs(msg.links) do
      local hit = odd_host:match(link.raw)
      if hit then return hit end
    end
  end,
}

rule {
  symbol = "LINK_ALONE", score = 0.1, group = "links",
  description = "Hardly any text in HTML beside one link",
  tests = {
    { headers = { Subject = "x" }, html = "look <a href=\"http://evil.example/x\">here</a>", hit = true },
    { headers = { Subject = "x" }, text = ("A long letter with many words in it. "):rep(10) .. "http://firm.example/", hit = false },
    { headers = { Subject = "x" }, text = "no link", hit = false },
  },
  needs = { "text", "urls" },
  when = function(msg)
    if #msg.links == 0 or #msg.links > 3 or #msg.text > 600 then return false end
    local html = false
    for _, link in ipairs(msg.links) do html = html or link.source == "html" end
    return html and word:count(msg.text, 40) <= 25 and not msg:header("List-Id") and not msg:header("In-Reply-To") and not msg:header("References")
  end,
}

rule {
  symbol = "LINK_ONE_FOREIGN_SITE", score = 1.4, group = "links",
  description = "All links lead to one site, and it is not the author's",
  tests = {
    { headers = { From = "a@bank.example", Subject = "x" }, html = "<a href=\"http://evil.example/a\">a</a><a href=\"http://evil.example/b\">b</a>", hit = true },
    { headers = { From = "a@bank.example", Subject = "x" }, html = "<a href=\"http://www.bank.example/a\">a</a><a href=\"http://bank.example/b\">b</a>", hit = false },
  },
  needs = { "urls" },
  when = function(msg)
    local from = msg:address("From")
    if not from or from.domain == "" or msg:header("List-Id") or msg:header("In-Reply-To") or msg:header("References") then
      return false
    end
    local site, count = nil, 0
    for _, link in ipairs(msg.links) do
      if followed(link) and link.source == "html" then
        if site and link.site ~= site then return false end
        site, count = link.site, count + 1
      end
    end
    return count >= 1 and site ~= from.site and site
  end,
}

rule {
  symbol = "LINK_SHOWS_OTHER_SITE", score = 0.1, group = "links",
  description = "The text of a link names another site than it leads to, outside of lists and newsletters",
  tests = {
    { headers = { Subject = "x" }, html = "<a href=\"http://evil-example.net/\">http://www.bank-example.com/</a>", hit = true },
    { headers = { Subject = "x" }, html = "<a href=\"http://www.bank.example/in\">http://bank.example/</a>", hit = false },
  },
  needs = { "urls" },
  when = function(msg)
    if msg:header("List-Id") or msg:header("List-Unsubscribe") then return false end
    for _, link in ipairs(msg.links) do
      if link.mismatch and followed(link) then return link.host end
    end
  end,
}

rule {
  symbol = "LINK_CLICK_HERE", score = 0.1, group = "links",
  description = "A link that says no more than: click",
  tests = {
    { headers = { Subject = "x" }, html = "<a href=\"http://x.example/\">CLICK HERE NOW</a>", hit = true },
    { headers = { Subject = "x" }, html = "<a href=\"http://x.example/\">The annual report</a>", hit = false },
  },
  needs = { "urls" },
  when = function(msg)
    for _, link in ipairs(msg.links) do
      if link.source == "html" and click:test(link.shown) then return link.shown end
    end
  end,
}

rule {
  symbol = "LINK_FORM", score = 0.1, group = "links",
  description = "A form in the mail itself, to be sent somewhere",
  tests = {
    { headers = { Subject = "x" }, html = "<form action=\"http://evil.example/post.php\"><input name=p type=password></form>", hit = true },
    { headers = { Subject = "x" }, html = "<p>In any form you like</p>", hit = false },
  },
  needs = { "urls" },
  when = function(msg)
    for _, link in ipairs(msg.links) do
      if link.source == "form" then return link.host end
    end
  end,
}

rule {
  symbol = "LINK_PHP_IN_DEPTH", score = 0.1, group = "links",
  uri = [[^https?://[^/\n]+/(?:[^?\n]*/)?(?:wp-content|wp-includes|wp-admin|\.well-known|cgi-bin|images|img|css|js|tmp|uploads?|cache|plugins|themes)/[^?\n]*\.(?:php|html?)(?:[?#]|$)]],
  description = "A page where no site keeps pages: a broken-in server",
  tests = {
    { headers = { Subject = "x" }, text = "http://firm.example/wp-content/uploads/x/login.php", hit = true },
    { headers = { Subject = "x" }, text = "http://firm.example/about.php", hit = false },
  },
}

rule {
  symbol = "LINK_RANDOM_PATH", score = 0.9, group = "links",
  uri = [[^http://[^/\n]+/(?:[a-z]{1,3}/)?(?=[A-Za-z0-9]*[a-z][A-Za-z0-9]*[A-Z0-9])(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{28,}/?$]],
  description = "A link that is nothing but a long made-up word on a host without TLS",
  tests = {
    { headers = { Subject = "x" }, text = "http://x.example/4kDk39dkDKd93kdkDJFk39dkd9dkdD", hit = true },
    { headers = { Subject = "x" }, text = "http://x.example/articles/2024/", hit = false },
  },
}

rule {
  symbol = "LINK_MAILTO_REMOVE", score = 0.1, group = "links",
  body = [[\b(?:to (?:be )?(?:removed?|unsubscribe|opt[- ]?out)|remove (?:me|yourself|your (?:name|e-?mail|address))|(?:if you (?:no longer|do not|don't) (?:wish|want) to receive))\b[^\n]{0,80}(?:click|reply|e-?mail|send|visit)|\bopt(?:ed)?[- ](?:in|out)\b|this (?:is not spam|e-?mail (?:is|was) (?:not unsolicited|sent to opt))|you (?:are )?receiv\w+ this (?:e-?mail|message|offer|special)? ?(?:because|since|as)]],
  description = "Explains how to be removed, or why it is no spam",
  tests = {
    { headers = { Subject = "x" }, text = "To be removed from our list click below", hit = true },
    { headers = { Subject = "x" }, text = "We removed the old shed.", hit = false },
  },
}
