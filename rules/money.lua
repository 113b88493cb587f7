-- money.lua - what the text wants: money, mostly.

local story = re([[\b(next of kin|late (?:husband|father|client|dr|mr|engr?|president|king|general)|foreign (?:account|partner|bank)|(?:strict(?:ly|est)?|utmost|top) (?:confiden\w+|secre\w+)|confidential(?:ity)?|million|transfer (?:of )?(?:the|this) (?:sum|fund|money|amount)|the sum of|beneficiary|inherit\w+|deposited|bank of [a-z]+|business proposal|your (?:kind |urgent )?assistance|god bless|barrister|widow|charity|diplomat\w*|consignment|foreigner|unclaimed|security company|next week i|nigeria\w*|ivory coast|sierra leone|burkina faso|benin|lagos|abidjan)\b]], "i")
local blackmail_what = re([[\b(?:hacked|webcam|recorded|recording|footage|your (?:device|camera)|malware|trojan|masturbat\w+|intimate|adult (?:site|video|content)|pervert\w*)\b.{0,600}\b(?:you|your)\b]], "is")
local blackmail_pay = re([[\b(?:bitcoins?|btc|litecoin|usdt)\b.{0,800}\b(?:hours|days|wallet|address)\b|\b(?:hours|days)\b.{0,800}\b(?:bitcoins?|btc)\b|\bwithin \d+ hours\b.{0,300}\bbitcoin]], "is")

local function distinct(list)
  local seen, n = {}, 0
  for _, s in ipairs(list) do
    s = s:lower()
    if not seen[s] then seen[s], n = true, n + 1 end
  end
  return n
end

rule {
  symbol = "ADVANCE_FEE_STORY", score = 2.0, group = "money", 
  description = "The tale of a fortune that waits for the reader's help",
  tests = {
    { headers = { Subject = "x" }, text = "I am the next of kin of the late Dr X. The sum of fifteen million dollars lies in a foreign account; I ask your assistance. Treat this as strictly confidential.", hit = true },
    { headers = { Subject = "x" }, text = "Our next of kin policy has changed, please see the staff page.", hit = false },
  },
  needs = { "text" },
  when = function(msg) return distinct(story:all(msg.text, 60)) >= 5 end,
}

rule {
  symbol = "MILLIONS", score = 0.2, group = "money",
  body = [[(?:(?:US)?\$|USD|EUR|GBP|€|£)\s?\d[\d.,]{0,12}\s?(?:million|mil\b|m\b|billion)|\d[\d.,]*\s?(?:million|billion)\s(?:(?:united states|us|u\.s\.)\s)?(?:dollars|euros?|pounds)|\$\s?\d{1,3}(?:,\d{3}){2,}]],
  description = "Millions in some currency",
  tests = {
    { headers = { Subject = "x" }, text = "the sum of US$12.5 million will be yours", hit = true },
    { headers = { Subject = "x" }, text = "a million thanks", hit = false },
  },
}

rule {
  symbol = "WORK_AT_HOME", score = 0.4, group = "money",
  body = [[\b(?:work(?:ing)? (?:at|from) home\b.{0,60}\$|home[- ]based business|be your own boss|earn(?:ing)?s? (?:up to |over |at least )?\$\s?\d|make (?:up to |over )?\$\s?\d[\d,]*|financial(?:ly)? (?:freedom|independen\w+)|extra income|multi-?level marketing|mlm\b|unlimited (?:income|earning)|income potential|\$\d[\d,]+ (?:a|per|every) (?:day|week|month))]],
  description = "An income without work",
  tests = {
    { headers = { Subject = "x" }, text = "Earn up to $5,000 a week!", hit = true },
    { headers = { Subject = "x" }, text = "I will work from home on Friday.", hit = false },
  },
}

rule {
  symbol = "LOANS_AND_DEBTS", score = 1.0, group = "money",
  body = [[\b(?:mortgage (?:rates?|quote|loan|lender)|refinanc(?:e|ing) your|low(?:est)? (?:interest )?rates?\b|consolidat\w+ (?:your )?(?:debt|bills)|debt consolidation|bad credit|no credit check|good or bad credit|eliminate (?:your )?debt|pre-?approved|home equity|life insurance (?:quote|polic)|credit card debt|cash (?:loan|advance))]],
  description = "Loans, debts, insurance",
  tests = {
    { headers = { Subject = "x" }, text = "Bad credit? You are pre-approved.", hit = true },
    { headers = { Subject = "x" }, text = "The bank approved the plan.", hit = false },
  },
}

rule {
  symbol = "MONEY_BACK", score = 0.1, group = "money",
  body = [[\b(?:(?:money|satisfaction)[- ]back|100% (?:guarante+d?|free|satisf\w+|natural|legal|risk)|risk[- ]free|no (?:obligation|risk|catch|gimmicks?|hidden (?:costs?|fees?))|satisfaction guarante+d|free (?:trial|sample|quote|consultation|gift|bonus|membership)|act (?:now|today|fast)|while supplies last|limited[- ]time|order (?:now|today)|call (?:now|today) )]],
  description = "The hawker's phrases: risk-free, act now, money back",
  tests = {
    { headers = { Subject = "x" }, text = "Order today, 100% satisfaction guaranteed.", hit = true },
    { headers = { Subject = "x" }, text = "The order was placed today.", hit = false },
  },
}

rule {
  symbol = "MIRACLE_REMEDY", score = 0.6, group = "money",
  body = [[\b(?:viagra|cialis|levitra|herbal (?:remed|viagra|supplement)|growth hormone|hgh\b|penis|breast enlargement|weight[- ]loss|lose (?:\d+ |up to |that )?(?:pounds|lbs|weight|fat)|burn(?:s|ing)? fat|fat[- ]burn\w+|anti-?aging|sexual (?:performance|desire|stamina)|impotence|online pharmac\w+|no prescription|toe ?nail fungus|blood sugar|keto (?:diet|gummies)|cbd (?:oil|gummies)|tinnitus|testosterone)]],
  description = "Remedies for what ails the reader",
  tests = {
    { headers = { Subject = "x" }, text = "This herbal remedy will burn fat while you sleep", hit = true },
    { headers = { Subject = "x" }, text = "The doctor wrote a prescription.", hit = false },
  },
}

rule {
  symbol = "ADULT_TEXT", score = 0.1, group = "money",
  body = [[\b(?:xxx|hard-?core|(?:free|live|hot|teen|amateur|adult) (?:porn\w*|sex|webcams?|pics?|videos?|sites?|girls)|porn(?:o|star|ography)?\b|sexy (?:girls?|women|ladies)|must be (?:over )?(?:18|21)|adults only|horny|pussy|hot (?:girls|women|singles)|hook ?up (?:tonight|now))]],
  description = "Sex for sale",
  tests = {
    { headers = { Subject = "x" }, text = "Live sex with hot girls, adults only", hit = true },
    { headers = { Subject = "x" }, text = "The sex of the applicant does not matter.", hit = false },
  },
}

rule {
  symbol = "CRYPTO_TEXT", score = 2.5, group = "money",
  body = [[\b(?:metamask|trust ?wallet|seed phrase|recovery phrase|wallet (?:verification|connect|address|will be)|(?:your|a) (?:crypto|bitcoin|btc|eth) wallet|\d[\d.]* ?(?:btc|bitcoins?)\b|btc wallet|crypto ?currenc\w+|bitcoin (?:payment|transfer|investment|mining|deposit)|airdrop)\b|\b(?:bc1[a-z0-9]{25,}|[13][a-km-zA-HJ-NP-Z1-9]{32,33})\b]],
  description = "Crypto money, wallets, their addresses",
  tests = {
    { headers = { Subject = "x" }, text = "Transfer 0.5 BTC to this address", hit = true },
    { headers = { Subject = "x" }, text = "The key is stored in the vault.", hit = false },
  },
}

rule {
  symbol = "SEXTORTION", score = 0.1, group = "money", 
  description = "Claims to have filmed the reader, and wants to be paid",
  tests = {
    { headers = { Subject = "x" }, text = "I have hacked your device and recorded you by your webcam. Send bitcoin within 48 hours.", hit = true },
    { headers = { Subject = "x" }, text = "My webcam broke, can we meet in person?", hit = false },
  },
  needs = { "text" },
  when = function(msg)
    return blackmail_what:test(msg.text) and blackmail_pay:test(msg.text)
  end,
}

rule {
  symbol = "DEAR_SOMEBODY", score = 1.6, group = "money",
  body = [[(?:^|\n)\s*(?:dear|hello|hi|attention|attn)[ ,:]*(?:valued |our |esteemed |loyal |e-?mail |account |mailbox )*(?:friend|customer|user|member|client|sir(?:\s?/\s?| or )?(?:madam)?|madam|beneficiary|winner|homeowner|home owner|investor|account (?:owner|holder|user)|e-?mail (?:owner|user)|webmail user|subscriber|sir or madam|sir\b|cardholder|card holder|beloved|recipient)\b]],
  description = "Addresses a reader whose name it does not know",
  tests = {
    { headers = { Subject = "x" }, text = "Dear valued customer,\nplease", hit = true },
    { headers = { Subject = "x" }, text = "Dear Ann,\nplease", hit = false },
  },
}

rule {
  symbol = "LOTTERY_TEXT", score = 0.1, group = "money",
  body = [[\b(?:lotter(?:y|ies)|sweepstakes?|you(?:'ve| have| are)? (?:been )?(?:won|selected|chosen) |winning (?:number|ticket|notification)|claim (?:your|the) (?:prize|reward|gift|winnings|free)|lucky (?:winner|draw|recipient)|you(?:'re| are) (?:a|the|our|one of) (?:lucky )?winners?|gift card|(?:exclusive|your) reward|survey (?:and|to) (?:win|receive|get))]],
  description = "The reader has won something",
  tests = {
    { headers = { Subject = "x" }, text = "You have been selected! Claim your prize", hit = true },
    { headers = { Subject = "x" }, text = "Ann won the race.", hit = false },
  },
}

rule {
  symbol = "STOCK_TIP", score = 0.1, group = "money",
  body = [[\b(?:(?:hot|penny|strong) stocks?|stock (?:alert|pick|tip)|otc ?bb|strong buy|forward[- ]looking statements|investors? alert|price target|undervalued stock)]],
  description = "Talks up a share",
  tests = {
    { headers = { Subject = "x" }, text = "STRONG BUY: this penny stock", hit = true },
    { headers = { Subject = "x" }, text = "Out of stock.", hit = false },
  },
}
