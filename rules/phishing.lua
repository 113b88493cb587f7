-- phishing.lua - mail that pretends to come from somebody whom the reader trusts.

local renewal = re([[\b(?:subscription|renew(?:al|ed)|invoice|auto-?renew\w*|membership|order (?:id|number|confirmation)|charged|debited|payment (?:of|for|has))\b]], "i")
local phone = re([[(?:\+?1[\s.\-(]*)?\(?8\d\d\)?[\s.\-)]*\d{3}[\s.-]*\d{4}\b]])
local complain_by_phone = re([[\b(?:call|contact|phone|dial|helpline|toll[- ]free|customer (?:care|support|service))\b[^\n]{0,160}\d{3}[\s.-]*\d{4}\b]], "i")

local function answers(msg)
  return msg:header("In-Reply-To") or msg:header("References") or msg:header("List-Id")
end

-- A brand in the author's name or the subject, and the domains it really writes from.
local brands = {
  { "paypal", { "paypal.com", "paypal.co.uk", "paypal.de", "paypal.fr", "xoom.com" } },
  { "netflix", { "netflix.com" } },
  { "amazon", { "amazon.com", "amazon.co.uk", "amazon.de", "amazon.fr", "amazon.it", "amazon.es", "amazon.co.jp", "amazon.com.br", "amazonses.com", "amazon.ca", "amazon.in", "amazon.com.au", "amazon.nl", "primevideo.com", "audible.com" } },
  { "apple|icloud|itunes", { "apple.com", "icloud.com", "me.com", "mac.com" } },
  { "microsoft|office ?365|outlook|onedrive|sharepoint", { "microsoft.com", "microsoftonline.com", "office.com", "office365.com", "outlook.com", "live.com", "sharepointonline.com", "onmicrosoft.com", "linkedin.com", "azure.com", "hotmail.com", "xbox.com" } },
  { "dhl", { "dhl.com", "dhl.de", "dhl.co.uk", "dpdhl.com", "dhl.fr", "dhl.nl" } },
  { "fedex", { "fedex.com" } },
  { "ups", { "ups.com" } },
  { "usps", { "usps.com", "usps.gov" } },
  { "facebook|instagram|whatsapp", { "facebook.com", "facebookmail.com", "instagram.com", "meta.com", "whatsapp.com", "metamail.com" } },
  { "bank of america", { "bankofamerica.com", "bofa.com" } },
  { "wells ?fargo", { "wellsfargo.com" } },
  { "chase", { "chase.com", "jpmorgan.com" } },
  { "ebay", { "ebay.com", "ebay.co.uk", "ebay.de", "ebay.fr", "ebay.ca", "ebay.com.au" } },
  { "coinbase", { "coinbase.com" } }, { "binance", { "binance.com" } }, { "metamask", { "metamask.io", "consensys.net" } },
  { "trust ?wallet", { "trustwallet.com" } }, { "ledger", { "ledger.com", "ledger.fr" } },
  { "american express", { "americanexpress.com", "aexp.com" } },
  { "docusign", { "docusign.com", "docusign.net" } },
  { "adobe", { "adobe.com", "adobesign.com", "echosign.com" } },
  { "dropbox", { "dropbox.com", "dropboxmail.com" } },
  { "walmart", { "walmart.com" } }, { "costco", { "costco.com" } }, { "norton|lifelock", { "norton.com", "nortonlifelock.com", "lifelock.com", "gendigital.com" } },
  { "mcafee", { "mcafee.com" } }, { "geek ?squad", { "geeksquad.com", "bestbuy.com" } },
  { "santander", { "santander.com", "santander.co.uk", "santander.com.br", "gruposantander.com" } },
  { "bradesco", { "bradesco.com.br" } }, { "ita[u\xc3\xba]+", { "itau.com.br", "itau-unibanco.com.br" } },
  { "correios", { "correios.com.br" } }, { "nubank", { "nubank.com.br" } }, { "serasa", { "serasa.com.br", "serasaexperian.com.br" } },
  { "spotify", { "spotify.com" } }, { "disney", { "disney.com", "disneyplus.com", "disneyonline.com" } },
  { "steam", { "steampowered.com", "valvesoftware.com" } }, { "mastercard", { "mastercard.com" } },
}
for _, brand in ipairs(brands) do
  brand.name = re("\\b(?:" .. brand[1] .. ")\\b", "i")
  brand.sites = {}
  for _, site in ipairs(brand[2]) do brand.sites[site] = true end
end

rule {
  symbol = "BRAND_NAME_FOREIGN", score = 0.1, group = "phishing",
  description = "The author's name is a brand's, his domain is not",
  tests = {
    { headers = { From = "PayPal Support <service@evil.example>" }, hit = true },
    { headers = { From = "PayPal <service@mail.paypal.com>" }, hit = false },
    { headers = { From = "Ann <ann@evil.example>" }, hit = false },
    { headers = { From = "\"Amazon via L\" <l@lists.example>", ["List-Id"] = "<l.lists.example>" }, hit = false },
  },
  when = function(msg)
    local from = msg:address("From")
    if not from or from.name == "" or msg:header("List-Id") then return false end
    for _, brand in ipairs(brands) do
      if not brand.sites[from.site] then
        local hit = brand.name:match(from.name)
        if hit then return hit end
      elseif brand.name:test(from.name) then
        return false
      end
    end
  end,
}

rule {
  symbol = "BRAND_SUBJECT_FOREIGN", score = 0.1, group = "phishing",
  description = "A brand in the subject, and neither the author nor any link is its own",
  tests = {
    { headers = { From = "a@evil.example", Subject = "Your Netflix membership" }, html = "<a href=\"http://evil.example/\">go</a>", hit = true },
    { headers = { From = "a@friend.example", Subject = "Your Netflix membership" }, html = "<a href=\"http://www.netflix.com/\">go</a>", hit = false },
  },
  needs = { "urls" },
  when = function(msg)
    local from = msg:address("From")
    if not from or #msg.links == 0 or answers(msg) then return false end
    for _, brand in ipairs(brands) do
      local hit = not brand.sites[from.site] and brand.name:match(msg.subject)
      if hit then
        for _, link in ipairs(msg.links) do
          if link.source ~= "image" and brand.sites[link.site] then return false end
        end
        return hit
      end
    end
  end,
}

rule {
  symbol = "VERIFY_ACCOUNT_TEXT", score = 0.1, group = "phishing",
  body = [[\b(?:(?:verify|confirm|validate|update|re-?activate|restore|secure|review) (?:your|you|the) (?:\w+ ){0,3}(?:account|identity|information|details|mailbox|e-?mail|password|payment|billing|wallet|profile|ownership)|(?:your|the) (?:\w+ ){0,3}(?:account|mailbox|access|wallet|profile|card|e-?mail) (?:\w+ ){0,3}(?:suspended|limited|restricted|locked|blocked|deactivated|terminated|on hold|disabled|compromised|expired?s?|closed))]],
  description = "An account must be verified, or is about to be closed",
  tests = {
    { headers = { Subject = "x" }, text = "Please verify your account information", hit = true },
    { headers = { Subject = "x" }, text = "Your mailbox will be suspended", hit = true },
    { headers = { Subject = "x" }, text = "The accountant verified the books.", hit = false },
  },
}

rule {
  symbol = "VERIFY_ACCOUNT_ABROAD", score = 0.1, group = "phishing",
  body = [[\b(?:(?:v[ée]rifi(?:er|ez)|confirm(?:er|ez)|mettre [àa] jour|actualis(?:er|ez)) (?:votre|vos|le)\b|votre (?:compte|colis|carte)\b.{0,60}(?:suspen|bloqu|expir|limit|attente)|(?:ihr|ihre|ihres) (?:konto|paket|zugang|karte|mitgliedschaft)\b.{0,80}(?:gesperrt|eingeschr|abgelaufen|best[äa]tig|aktualis|warten)|(?:su|tu) (?:cuenta|paquete|tarjeta|env[íi]o)\b.{0,80}(?:suspend|bloque|verific|actualiz|pendiente|limitad)|(?:sua|seu) (?:conta|encomenda|pacote|cart[ãa]o|cadastro|acesso|cpf)\b.{0,80}(?:suspens|bloquead|verific|atualiz|pendente|expir|cancelad)|clique (?:aqui|no bot)|regulariz\w+|(?:uw|je) (?:account|pakket|rekening)\b.{0,80}(?:geblokkeerd|verlop|opgeschort))]],
  description = "The same in French, German, Spanish, Portuguese, Dutch",
  tests = {
    { headers = { Subject = "x" }, text = "Votre compte a \u{e9}t\u{e9} suspendu", hit = true },
    { headers = { Subject = "x" }, text = "Ihr Konto wurde gesperrt", hit = true },
    { headers = { Subject = "x" }, text = "Ihr Termin ist am Montag", hit = false },
  },
}

rule {
  symbol = "MAILBOX_FULL_TEXT", score = 0.1, group = "phishing", none = { "BOUNCE", "IN_CONVERSATION" },
  body = [[\b(?:mailbox (?:\w+ ){0,4}(?:full|quota|storage|limit|size)|(?:storage|quota) (?:\w+ ){0,3}(?:limit|full|exceed\w+|reached)|(?:pending|undelivered|held|blocked|incoming) (?:messages?|e-?mails?|mails)|keep (?:your )?(?:current|same) password|password (?:will )?expir\w+|webmail (?:account|upgrade|administrator|support)|(?:e-?mail|mail) (?:administrator|admin|upgrade|server) (?:team|notification|report)|release (?:your )?(?:pending )?messages)]],
  description = "The mailbox is full, mail is held, the password ends today",
  tests = {
    { headers = { Subject = "x" }, text = "You have 5 undelivered messages", hit = true },
    { headers = { Subject = "x" }, text = "The messages were read aloud.", hit = false },
  },
}

rule {
  symbol = "DEADLINE_TEXT", score = 0.1, group = "phishing",
  body = [[\b(?:with?in (?:the next )?(?:\d+|twenty[- ]four|forty[- ]eight) ?(?:\(\d+\) )?(?:hours|hrs|business days|days)|in (?:24|48|72) (?:hours|h\b)|innerhalb von \d+ (?:stunden|tagen)|dans (?:les )?\d+ heures|en (?:las pr[oó]ximas )?\d+ horas|em (?:at[ée] )?\d+ horas|before it(?:'s| is) too late|expires? (?:today|soon|tonight|in \d)|as soon as possible or|immediately to avoid|to avoid (?:\w+ ){0,3}(?:suspension|interruption|closure|termination|deactivation|cancellation|disruption|loss))]],
  description = "A deadline, or something to be avoided by haste",
  tests = {
    { headers = { Subject = "x" }, text = "Act within 24 hours to avoid suspension", hit = true },
    { headers = { Subject = "x" }, text = "The train takes four hours.", hit = false },
  },
}

rule {
  symbol = "PARCEL_FEE_TEXT", score = 0.1, group = "phishing", none = { "BOUNCE", "IN_CONVERSATION" },
  body = [[\b(?:(?:parcel|package|shipment|delivery|paquete|paket|colis|encomenda|pacote|pakket)\b[^\n]{0,120}\b(?:customs|fees?|unpaid|could not be delivered|undeliverable|reschedul\w+|confirm (?:your )?(?:address|payment|shipping)|failed|held|aduan\w+|alf[âa]nd\w+|zoll|douane|frais|taxa|tasa|pendente|pendiente|attente|retid\w+)|(?:re-?schedule|confirm) (?:your |the )?(?:delivery|shipment|parcel|package)|tracking (?:number|code|id)[: #]{1,3}[A-Z]{2}[-\d]{6,})]],
  description = "A parcel that cannot come until something is paid or confirmed",
  tests = {
    { headers = { Subject = "x" }, text = "Your parcel is held: customs fees of 1.99 are unpaid", hit = true },
    { headers = { Subject = "x" }, text = "The parcel came yesterday.", hit = false },
  },
}

rule {
  symbol = "CALL_THIS_NUMBER", score = 0.1, group = "phishing",
  description = "An invoice or renewal nobody ordered, and a telephone number to complain at",
  tests = {
    { headers = { Subject = "x" }, text = "Your subscription has been renewed for $399.99. To cancel call +1 (888) 555-0123 today.", hit = true },
    { headers = { Subject = "x" }, text = "Call me at +1 (888) 555-0123.", hit = false },
  },
  needs = { "text" },
  when = function(msg)
    return renewal:test(msg.text) and phone:test(msg.text) and complain_by_phone:test(msg.text)
  end,
}

rule {
  symbol = "ALARM_AND_LINK", score = 0.1, group = "phishing", any = { "SUBJECT_ACCOUNT_ALARM", "SUBJECT_SIGN_IN", "VERIFY_ACCOUNT_TEXT", "MAILBOX_FULL_TEXT", "VERIFY_ACCOUNT_ABROAD" },
  description = "An alarm about an account, and links to places where a bank has none",
  tests = {
    { headers = { From = "a@evil.example", Subject = "Your account has been suspended" }, text = "http://x.web.app/login", hit = true },
    { headers = { From = "a@evil.example", Subject = "Your account has been suspended" }, text = "no link", hit = false },
  },
  when = function(msg)
    return msg:found("LINK_FREE_HOSTING") or msg:found("LINK_CHEAP_TLD") or msg:found("LINK_ONE_FOREIGN_SITE")
      or msg:found("LINK_SHORTENER") or msg:found("LINK_TO_ADDRESS") or msg:found("LINK_BAIT_WORDS")
  end,
}

rule {
  symbol = "STRANGER_WITH_DEADLINE", score = 0.1, group = "phishing", all = { "DEADLINE_TEXT" },
  any = { "DEAR_SOMEBODY", "SUBJECT_NAMES_RECIPIENT", "LINK_CARRIES_RECIPIENT", "HTML_ONLY" },
  description = "A deadline from somebody who does not know the reader",
  tests = {
    { headers = { Subject = "x" }, text = "Dear customer,\nreply within 24 hours", hit = true },
    { headers = { Subject = "x" }, text = "Dear Ann,\nreply within 24 hours", hit = false },
  },
}
