-- subject.lua - what the subject alone gives away.

local capitals, small, written = re("[A-Z]"), re("[a-z]"), re([[\S]])
local tagged = re([[^\s*(?:re:\s*)?\[]], "i")

rule {
  symbol = "SUBJECT_SHOUTS", score = 0.9, group = "subject",
  description = "The subject is all capitals",
  tests = {
    { headers = { Subject = "URGENT BUSINESS PROPOSAL" }, hit = true },
    { headers = { Subject = "Meeting at NASA HQ" }, hit = false },
    { headers = { Subject = "FYI" }, hit = false },
  },
  when = function(msg)
    local s = msg.subject
    return #s >= 12 and capitals:count(s, 300) >= 10 and not small:test(s) and not tagged:test(s)
  end,
}

rule {
  symbol = "SUBJECT_RANDOM_TAIL", score = 1.7, group = "subject", subject = { [[\S\s{5,}\S{3,24}$|\s[a-z]{2,9}\d{1,2}[a-z]{2,9}\d?$]], "" },
  description = "The subject ends in a made-up word, set off by spaces: to make each copy differ",
  tests = {
    { headers = { Subject = "Lose weight now           xkwqz" }, hit = true },
    { headers = { Subject = "Lunch on Friday?" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_MANY_MARKS", score = 0.5, group = "subject", subject = [[!{2,}|!.*!|\?!|!\?|\?{3,}]],
  description = "Several exclamation marks in the subject",
  tests = {
    { headers = { Subject = "Free money!!" }, hit = true },
    { headers = { Subject = "Hello!" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_MONEY", score = 0.4, group = "subject", subject = [=[(?:(?:\$|€|£)\s?\d[\d.,]{0,12}\d{2}|\b\d[\d,.]{3,15}\s?(?:usd|eur|gbp|dollars?|euros?)\b)]=],
  description = "A sum of money in the subject",
  tests = {
    { headers = { Subject = "You have $1,000.00 waiting" }, hit = true },
    { headers = { Subject = "Invoice 1000" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_FREE_OFFER", score = 0.3, group = "subject",
  subject = [[\b(?:free\b(?!\s?(?:bsd|software|nas|dos))|guarante+d?|save up to|lowest (?:price|rate)|limited time|act now|no (?:cost|obligation|risk)|risk[- ]free|special (?:offer|promotion)|(?:\d\d|100) ?% (?:off|free)|last chance|winn?er|prize|congratulations?|giveaway|gift card|reward)\b]],
  description = "The subject offers something for nothing",
  tests = {
    { headers = { Subject = "Free gift card for you" }, hit = true },
    { headers = { Subject = "FreeBSD 14 released" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_CREDIT", score = 0.1, group = "subject",
  subject = [[\b(?:mortgage|refinanc\w+|loans?\b|debts?\b|credit (?:card|report|score|repair)|life insurance|home ?owners?|interest rates?|get out of debt|cash (?:advance|loan))]],
  description = "The subject speaks of loans, debts or insurance",
  tests = {
    { headers = { Subject = "Refinance your home today" }, hit = true },
    { headers = { Subject = "Your order has shipped" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_BODY_CARE", score = 0.1, group = "subject",
  subject = [[\b(?:viagra|cialis|weight ?loss|lose (?:\d+ )?(?:weight|pounds|lbs)|lose up to|keto|cbd\b|enlarge\w*|erect\w*|pharmacy|pills?\b|anti-?aging|growth hormone|hgh\b|diabet\w+|blood sugar|belly fat|tinnitus|prostate|neuropathy|nail fungus|memory loss)]],
  description = "The subject sells remedies",
  tests = {
    { headers = { Subject = "Lose 20 pounds this month" }, hit = true },
    { headers = { Subject = "Doctor's appointment" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_ADULT", score = 0.1, group = "subject",
  subject = [[\b(?:xxx|porn\w*|sex(?:y|ual)?\b|naked|nude|hot (?:girls?|women|wives|teens?)|horny|adult (?:dating|site|content)|teens?\b|milf|naughty|singles? (?:near|in your)|lonely (?:wives|women))]],
  description = "The subject sells sex",
  tests = {
    { headers = { Subject = "Hot girls near you" }, hit = true },
    { headers = { Subject = "Essex meetup" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_ACCOUNT_ALARM", score = 0.1, group = "subject",
  subject = [[\b(?:account|mailbox|e-?mail|password|wallet|card|profile|access|membership|subscription|session|domain|conta|compte|konto|cuenta)\b.{0,40}\b(?:suspen\w+|lock(?:ed)?|block(?:ed)?|limit(?:ed|ation)|restrict\w+|verif\w+|expir\w+|deactivat\w+|disabled?|closed?|closure|hold|on hold|terminat\w+|compromised|unusual|bloque\w+|gesperrt|suspendid\w+|bloquead\w+|expirad\w+)|\b(?:verify|confirm|update|secure|validate|restore|reactivate) (?:your|you|the)\b.{0,30}\b(?:account|mailbox|identity|information|wallet|e-?mail|details)]],
  description = "The subject alarms about an account",
  tests = {
    { headers = { Subject = "Your account has been suspended" }, hit = true },
    { headers = { Subject = "Please verify your mailbox" }, hit = true },
    { headers = { Subject = "Account statement for May" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_SIGN_IN", score = 0.1, group = "subject",
  subject = [[\b(?:unusual|suspicious|new|unrecogni[sz]ed|unauthori[sz]ed)\b.{0,20}\b(?:sign-? ?in|log-? ?in|activity|transaction|device)|security alert|action required|immediate action|final (?:notice|warning|reminder)|last (?:notice|warning|reminder)|password (?:expir\w+|reset required)]],
  description = "The subject alarms about somebody's sign-in, or demands action",
  tests = {
    { headers = { Subject = "Microsoft account unusual sign-in activity" }, hit = true },
    { headers = { Subject = "Sign-in sheet for the meeting" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_PARCEL", score = 0.1, group = "subject", none = { "BOUNCE" },
  subject = [[\b(?:parcel|package|delivery|shipment|paquete|paket|colis|pacote|encomenda|pakket)\b.{0,40}\b(?:waiting|pending|held|hold|failed|attempt|undeliver\w+|fee|customs|confirm|on its way|could not|unsuccessful|aguard\w+|pendient\w+|attente|retid\w+|wartet)|\b(?:waiting|pending|undelivered|unclaimed|held)\b.{0,20}\b(?:parcel|package|delivery|shipment)]],
  description = "A parcel waits for something",
  tests = {
    { headers = { Subject = "Your package is pending: confirm" }, hit = true },
    { headers = { Subject = "Your package was delivered" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_CRYPTO", score = 0.1, group = "subject",
  subject = [[\b(?:bitcoins?|btc|crypto\w*|ethereum|eth\b|binance|coinbase|metamask|trust ?wallet|blockchain|usdt|airdrop|nft)\b]],
  description = "The subject speaks of crypto money",
  tests = {
    { headers = { Subject = "Your Bitcoin payout" }, hit = true },
    { headers = { Subject = "Cryptic error in build" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_WORK_AT_HOME", score = 0.1, group = "subject",
  subject = [[\b(?:work (?:at|from) home|home[- ]based|earn (?:\$|money|extra|cash|up to)|make (?:money|\$|extra)|extra (?:income|cash)|income|get (?:rich|paid)|millionaire|financial freedom|business opportunit\w+|be your own boss|quit your job)\b]],
  description = "The subject promises an income",
  tests = {
    { headers = { Subject = "Earn money from home" }, hit = true },
    { headers = { Subject = "I will work from the office" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_EMOJI", score = 0.1, group = "subject", subject = { [=[[\x{1F300}-\x{1FAFF}\x{2600}-\x{27BF}\x{1F1E6}-\x{1F1FF}]|\x{FE0F}]=], "u" },
  description = "Pictures in the subject",
  tests = {
    { headers = { Subject = "=?UTF-8?B?8J+UpSBIb3Qgb2ZmZXI=?=" }, hit = true },
    { headers = { Subject = "Caf\u{e9} tomorrow" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_FANCY_LETTERS", score = 0.1, group = "subject", header = "Subject", matches = { [=[[\x{1D400}-\x{1D7FF}\x{FF21}-\x{FF5A}\x{24B6}-\x{24E9}]|[a-z][\x{200B}-\x{200D}\x{2060}\x{00AD}][a-z]|[A-Za-z][\x{0430}-\x{044F}]|[\x{0430}-\x{044F}][A-Za-z]]=], "u" },
  description = "Letters that only look like letters, to get past filters",
  tests = {
    { headers = { Subject = "Verify your acc\u{43e}unt" }, hit = true },
    { headers = { Subject = "\u{41f}\u{440}\u{438}\u{432}\u{435}\u{442}" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_GAPPY", score = 0.1, group = "subject", subject = { [[\b(?:[A-Za-z][ ._\x2a-]){4,}[A-Za-z]\b]], "" },
  description = "A word of the subject is written with gaps",
  tests = {
    { headers = { Subject = "V.I.A.G.R.A for you" }, hit = true },
    { headers = { Subject = "Plan A or B" }, hit = false },
  },
}

rule {
  symbol = "SUBJECT_EMPTY", score = 0.1, group = "subject",
  description = "No subject",
  tests = {
    { headers = { From = "a@b.example" }, text = "x", hit = true },
    { headers = { Subject = "Hi" }, text = "x", hit = false },
  },
  when = function(msg) return not written:test(msg.subject) end,
}

rule {
  symbol = "SUBJECT_NAMES_RECIPIENT", score = 0.1, group = "subject",
  description = "The recipient's address or its local part stands in the subject",
  tests = {
    { headers = { To = "jane.doe@firm.example", Subject = "jane.doe, your mailbox is full" }, hit = true },
    { headers = { To = "info@firm.example", Subject = "More info" }, hit = false },
    { headers = { To = "jane.doe@firm.example", Subject = "Lunch?" }, hit = false },
  },
  when = function(msg)
    local to = msg:address("To")
    if not to or #to.user < 5 or msg:header("List-Id") or msg:header("Sender") then return false end
    local s, user = msg.subject:lower(), to.user:lower()
    return s:find(to.addr:lower()) ~= nil or s:starts(user) or s:ends(user)
  end,
}
