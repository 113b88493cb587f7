-- auth.lua - what it weighs who a mail is from. The facts are C's (policyd/scan/stage_auth.c); here stand their points, and
-- what they mean together.
--
-- SPF alone says little: forwarders break it, spammers have domains of their own. So its fail weighs where nothing else
-- speaks for the sender, and a pass weighs nothing: it only says whose reputation counts.

scores {
  SPF_PASS = 0, SPF_NONE = 0.1, SPF_NEUTRAL = 0.1, SPF_SOFTFAIL = 0.5, SPF_FAIL = 0.8, SPF_PERMERROR = 0.3,
  SPF_HELO_PASS = 0, SPF_HELO_SOFTFAIL = 0.4, SPF_HELO_FAIL = 0.8,
  RDNS_NONE = 0.8, RDNS_MISMATCH = 0.4,
  HELO_NOT_FQDN = 0.3, HELO_LITERAL = 0.5, HELO_LITERAL_WRONG = 1.5, HELO_IS_US = 3.0,
  -- A signature that fails proves nothing either way: lists and gateways change mail. One that holds says who is answerable.
  DKIM_SIGNED = 0, DKIM_VALID = -0.1, DKIM_VALID_AU = -0.1, DKIM_INVALID = 0.2, DKIM_WEAK_KEY = 0.3, DKIM_NOT_BELIEVED = 0.2, DKIM_PARTIAL = 0.8,
  DMARC_PASS = -0.2, DMARC_MISSING = 0, DMARC_NONE = 0.5, DMARC_QUARANTINE = 1.5, DMARC_REJECT = 3.0, DMARC_PERMERROR = 0.1,
  DMARC_FORWARDED = 0, ARC_SIGNED = 0, ARC_VALID = 0, ARC_TRUSTED = -0.2, ARC_INVALID = 0.3,
}

rule {
  symbol = "SPF_FAIL_NO_NAME", score = 1.0, group = "auth",
  description = "The sender's domain rules the client out (SPF), and the client has no name of its own",
  tests = {
    { headers = { Subject = "x" }, found = { SPF_FAIL = 0.8, RDNS_NONE = 0.8 }, hit = true },
    { headers = { Subject = "x" }, found = { SPF_SOFTFAIL = 0.5, RDNS_MISMATCH = 0.4 }, hit = true },
    { headers = { Subject = "x" }, found = { SPF_FAIL = 0.8 }, hit = false },
    { headers = { Subject = "x" }, found = { SPF_PASS = 0, RDNS_NONE = 0.8 }, hit = false },
  },
  meta = "(SPF_FAIL || SPF_SOFTFAIL) && (RDNS_NONE || RDNS_MISMATCH) && !DKIM_VALID_AU && !ARC_TRUSTED",
}

rule {
  symbol = "AUTH_NOTHING", score = 0.6, group = "auth",
  description = "Nobody is answerable: no domain of its own vouches for the client, the sender or the author",
  tests = {
    { headers = { Subject = "x" }, found = { SPF_NONE = 0, RDNS_NONE = 0 }, hit = true },
    { headers = { Subject = "x" }, found = { SPF_NONE = 0, RDNS_NONE = 0, DKIM_VALID = 0 }, hit = false },
    { headers = { Subject = "x" }, found = { SPF_PASS = 0, RDNS_NONE = 0 }, hit = false },
    { headers = { Subject = "x" }, hit = false },
  },
  meta = "SPF_NONE && (RDNS_NONE || RDNS_MISMATCH) && !DKIM_VALID && !ARC_VALID",
}
