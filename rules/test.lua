-- test.lua - the test string that every filter must know.

-- Put together here, so that this file, mailed around, is not spam itself.
local gtube = "XJS*C4JDBQADN1.NSBN3" .. "*2IDNEN*GTUBE-STANDARD" .. "-ANTI-UBE-TEST-EMAIL*C.34X"

rule {
  symbol = "GTUBE", score = 1000, group = "test",
  description = "The generic test for unsolicited bulk email",
  tests = {
    { headers = { Subject = "Test" }, text = "Look:\n" .. gtube .. "\nthat is it", hit = true },
    { headers = { Subject = "Test" }, html = "<p>" .. gtube .. "</p>", hit = true },
    { headers = { Subject = "About GTUBE" }, text = "The string starts with XJS*C4JDBQADN1", hit = false },
  },
  needs = { "text" },
  when = function(msg) return msg.text:find(gtube) ~= nil end,
}
