-- score.lua - one number of all that was found, for one recipient's policy. An operator may replace it (`score` in
-- policyd.conf): it must return function(symbols, class) -> points, points of BAYES.
--
-- symbols  { name, points } each, what all recipients share
-- class    log_odds (natural logarithm, positive towards spam), probability, model_known, dnsbl ("off", "score",
--          "reject"), customer
--
-- The scale: one point is about one nat, so that rules (each fitted as the log-odds it adds) and the model's own
-- log-odds add up. The default policy tags at 4, quarantines at 7, discards at 15. The model alone, by its
-- calibrated probability:
--
--     p       0.9   0.98   0.99   0.999   0.9999   0.99999
--     points  2.1   3.6    4.2    5.6     6.5      7.1
--
-- so what is tagged on its word alone is 99 in 100 spam, what is quarantined 99.998 in 100; anything less sure needs a
-- symbol beside it. The curve is smooth (no step at which one word more changes the outcome by points), and bounded:
-- SPAM_MOST keeps the model from discarding alone, HAM_MOST keeps innocent prose from washing out what rules found.

local PER_NAT, SPAM_MOST, HAM_MOST = 1.0, 8.0, 4.0

local function bayes(log_odds)
  local most = log_odds > 0 and SPAM_MOST or HAM_MOST
  local e = math.exp(2 * math.max(-40, math.min(40, PER_NAT * log_odds / most)))
  return most * (e - 1) / (e + 1)       -- most * tanh
end

return function(symbols, class)
  local points = 0
  for i = 1, #symbols do
    local s = symbols[i]
    -- Who switched lists off is not scored by them either, whatever others in the same mail's company want.
    if class.dnsbl ~= "off" or not (s.name:starts("DNSBL_") or s.name:starts("URIBL_")) then
      points = points + s.points
    end
  end
  local b = class.model_known and bayes(class.log_odds) or 0
  return points + b, b
end
