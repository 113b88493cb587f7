-- points.lua - rules for the system tests: a mail says itself how many points it has.

rule {
  symbol = "TEST_TWO", score = 2, group = "test",
  description = "The test mail wants 2 points",
  tests = { { headers = { ["X-Test-Points"] = "2" }, hit = true }, { headers = { ["X-Test-Points"] = "1" }, hit = false } },
  header = "X-Test-Points", matches = "^2$",
}
rule {
  symbol = "TEST_FIVE", score = 5, group = "test",
  description = "The test mail wants 5 points",
  tests = { { headers = { ["X-Test-Points"] = "5" }, hit = true }, { headers = { ["X-Test-Points"] = "1" }, hit = false } },
  header = "X-Test-Points", matches = "^5$",
}
rule {
  symbol = "TEST_EIGHT", score = 8, group = "test",
  description = "The test mail wants 8 points",
  tests = { { headers = { ["X-Test-Points"] = "8" }, hit = true }, { headers = { ["X-Test-Points"] = "1" }, hit = false } },
  header = "X-Test-Points", matches = "^8$",
}
rule {
  symbol = "TEST_TWENTY", score = 20, group = "test",
  description = "The test mail wants 20 points",
  tests = { { headers = { ["X-Test-Points"] = "20" }, hit = true }, { headers = { ["X-Test-Points"] = "1" }, hit = false } },
  header = "X-Test-Points", matches = "^20$",
}
