/* The cage: what a script must not have, what it must not outlast, and patterns that explode. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lua/state.h"
#include "policyd/base/clock.h"

/* Run a script from a file as rule files are; `why` gets the error. */
static bool
run(const char *text, int64_t steps, int ms, char *why, size_t room)
{
	struct state *s = state_open(8 << 20);
	char path[] = "/tmp/policyd-test-XXXXXX";
	int fd = mkstemp(path);
	bool ok;

	assert_non_null(s);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	state_close_globals(s);
	s->loading = true;
	state_budget(s, steps, clock_ms() + ms);
	ok = state_load(s, path, false, why, room) && state_call(s, 0, 0, why, room);
	assert_int_equal(lua_gettop(s->L), 0);
	unlink(path);
	state_close(s);
	return ok;
}

static void
works(void **state)
{
	static const char *const good[] = {
		"assert(('Abc'):lower() == 'abc' and #'abc' == 3)",
		"assert(('a.b'):find('.') == 2)",
		"assert(('abcabc'):find('c', 4) == 6 and ('abc'):find('x') == nil)",
		"assert(('abc'):find('', 10) == nil and ('abc'):find('a', -3) == 1)",
		"assert(('ab'):rep(3, '-') == 'ab-ab-ab' and ('x'):rep(-1) == '')",
		"assert(re('b+'):match('abbc') == 'bb')",
		"local a, b = re('(a)(x)?c'):match('ac'); assert(a == 'a' and b == nil)",
		"assert(select('#', re('(a)(b)'):match('ab')) == 2)",
		"assert(re('B', 'i'):test('abc') and not re('B'):test('abc') and not re('b'):test(nil))",
		"local f, l = re('b+'):find('abbc'); assert(f == 2 and l == 3)",
		"assert(re('a'):count('banana') == 3 and re('a'):count('banana', 2) == 2)",
		"assert(re('x*'):count('ab') == 3)",
		"local t = re('<(.)>'):all('<a><b>'); assert(#t == 2 and t[2] == 'b')",
		"assert(re('^b$', 'm'):test('a\\nb\\nc'))",
		"assert(re('\\\\x{e9}', 'u'):test('caf\\u{e9}') and re('.', 'u'):count('\\u{e9}\\u{e9}') == 2)",
		"assert(re('.', 'u'):count('\\xff\\xc3a') >= 1)",
		"assert(pcall(error, 'x') == false and select(2, pcall(error, {1}))[1] == 1)",
		"local ok, e = pcall(function() return nil + 1 end); assert(not ok and e:find('arithmetic'))",
		"local t = setmetatable({}, { __index = function(_, k) return k end }); assert(t.x == 'x')",
		"assert(re('z'):test(('a'):rep(200000) .. 'z'))",
		"assert(re('a(?=z)'):find(('a'):rep(200000) .. 'z') == 200000)",
		"local t = { 3, 1, 2 }; table.sort(t); assert(table.concat(t) == '123')",
	};
	char why[400];

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!run(good[i], 1000000, 5000, why, sizeof why))
			fail_msg("%s: %s", good[i], why);
}

static void
refuses(void **state)
{
	static const struct { const char *script, *want; } bad[] = {
		{ "io.write('x')", "unknown name io" },
		{ "os.exit(1)", "unknown name os" },
		{ "require('x')", "unknown name require" },
		{ "load('x')", "unknown name load" },
		{ "dofile('/etc/passwd')", "unknown name dofile" },
		{ "debug.getregistry()", "unknown name debug" },
		{ "coroutine.wrap(print)", "unknown name coroutine" },
		{ "collectgarbage()", "unknown name collectgarbage" },
		{ "getmetatable('').__index = {}", "unknown name getmetatable" },
		{ "rawset(string, 'find', 1)", "unknown name rawset" },
		{ "math.random()", "attempt to call a nil value" },
		{ "x = 1", "cannot set x" },
		{ "string.find = 1", "cannot set find" },
		{ "('x'):match('a')", "Lua patterns are not here" },
		{ "('x'):gsub('a', 'b')", "Lua patterns are not here" },
		{ "setmetatable({}, { __gc = function() while true do end end })", "__gc" },
		{ "setmetatable(string, {})", "protected metatable" },
		{ "re('(')", "re: missing closing parenthesis" },
		{ "re('a', 'q')", "unknown flag q" },
		{ "re('\\\\C')", "re:" },
		{ "\x1bLua", "attempt to load a binary chunk" },
		{ "local x = nil; return x.y", ":1: attempt to index a nil value" },
		{ "error({})", "no text" },
		/* the shell, the disk, the process */
		{ "os.execute('id')", "unknown name os" },
		{ "io.open('/etc/passwd')", "unknown name io" },
		{ "io.popen('id')", "unknown name io" },
		{ "os.getenv('HOME')", "unknown name os" },
		{ "os.remove('/tmp/x')", "unknown name os" },
		{ "loadfile('/etc/passwd')", "unknown name loadfile" },
		{ "package.loadlib('libc.so.6', 'system')", "unknown name package" },
		{ "loadstring('return 1')()", "unknown name loadstring" },
		{ "print('x')", "unknown name print" },
		{ "warn('@on')", "unknown name warn" },
		/* ways round the allow-list */
		{ "_G.io.write('x')", "unknown name _G" },
		{ "local e = _ENV e.x = 1", "cannot set x" },
		{ "local _ENV = {} x = 1 return io.open", "attempt to index a nil value" },
		{ "rawget(string, 'dump')", "unknown name rawget" },
		{ "rawequal(1, 1)", "unknown name rawequal" },
		{ "rawlen({})", "unknown name rawlen" },
		{ "xpcall(error, function() end)", "unknown name xpcall" },
		{ "string.dump(function() end)", "attempt to call a nil value" },
		{ "('').dump(function() end)", "attempt to call a nil value" },
		{ "('x').rep = nil", "attempt to index a string value" },
		{ "local s = '' s.x = 1", "attempt to index a string value" },
		{ "setmetatable('', {})", "table expected" },
		{ "setmetatable(_ENV, {})", "protected metatable" },
		{ "setmetatable(math, { __index = string })", "protected metatable" },
		{ "math.huge = 0", "cannot set huge" },
		{ "table.insert = nil", "cannot set insert" },
		{ "for k in pairs(string) do error('sees ' .. k) end error('sees nothing')", "sees nothing" },
		{ "complain('x', 'y')", "unknown name complain" },
		{ "declare {}", "unknown name declare" },
		{ "getmetatable(re('a')).__gc(re('a'))", "unknown name getmetatable" },
		{ "re('a').code = 1", "attempt to index a regex value" },
		{ "re('a').__gc()", "attempt to call a nil value" },
		{ "re('a').test('x', 'y')", "regex expected" },
		{ "utf8.charpattern = 1", "cannot set charpattern" },
		/* addresses, which would tell where memory lies */
		{ "error(tostring({}):find('0x') and 'leaks' or 'sealed')", "sealed" },
		{ "error(tostring(print or error):find('0x') and 'leaks' or 'sealed')", "unknown name print" },
		{ "error(tostring(re('a')):find('0x') and 'leaks' or 'sealed')", "sealed" },
		{ "string.format('%p', {})", "%p is not for scripts" },
		{ "string.format('%-20p', 'x')", "%p is not for scripts" },
		{ "string.format('%s', {})", "a text, a number or a boolean is expected" },
		{ "local ok, e = pcall(function() return _ENV[{}] end) error(e:find('0x') and 'leaks' or 'sealed')", "sealed" },
		/* coroutines */
		{ "coroutine.create(function() end)", "unknown name coroutine" },
		{ "coroutine.close(nil)", "unknown name coroutine" },
		/* bytecode in every wrapping */
		{ "load(string.char(27) .. 'Lua')", "unknown name load" },
		{ "\x1bLuaT\x00\x19\x93\r\n\x1a\n", "attempt to load a binary chunk" },
		{ "goto nowhere", "no visible label" },
		/* a metatable that sets its __gc while it is asked for it; or has it late */
		{ "setmetatable({}, { __gc = true })", "__gc" },
		{ "local t = setmetatable({}, { __metatable = 1 }) setmetatable(t, {})", "protected metatable" },
		{ "local mt = {} local t = setmetatable({}, mt) mt.__gc = error setmetatable(t, mt)", "__gc" },
		/* tables that lie about their length: the functions of table would walk a billion places */
		{ "table.insert(setmetatable({}, { __len = function() return 1 << 40 end }), 1, 0)", "__len" },
		{ "table.remove(setmetatable({}, { __len = function() return 1 << 40 end }), 1)", "__len" },
		{ "table.concat(setmetatable({}, { __len = function() return 1 << 40 end, __index = function() return '' end }))", "__len" },
		{ "table.sort(setmetatable({}, { __len = function() return 1 << 30 end }), function() return false end)", "__len" },
		{ "table.unpack(setmetatable({}, { __len = function() return 1 << 40 end }))", "__len" },
		{ "table.unpack({}, 1, 1 << 40)", "over its budget" },
		{ "table.unpack({}, 1, 900000)", "too many results" },
		{ "table.unpack({}, math.mininteger, math.maxinteger)", "over its budget" },
		{ "table.concat({}, '', 1, 1 << 40)", "invalid value" },
		{ "local a <const> = 1 a = 2", "attempt to assign to const" },
		{ "('x'):rep(1, 2, 3).y.z = 1", "attempt to index a nil value" },
		{ "utf8.char(1 << 40)", "value out of range" },
		{ "string.format('%*d', 1, 2)", "invalid conversion" },
		{ "string.format('%1000d', 1)", "invalid conversion" },
		{ "string.char(256)", "out of range" },
		{ "select(-5, 1)", "out of range" },
		{ "tonumber('z', 99)", "base out of range" },
		{ "re('(*UTF)x')", "re: using UTF is disabled" },
		{ "re('(?<=a+)b')", "re: lookbehind assertion is not fixed length" },
		{ "re(('('):rep(300) .. (')'):rep(300))", "re: parentheses are too deeply nested" },
		{ "re('(?:(?:a{1,65000}){1,65000})')", "re: " },
		{ "re(('a'):rep(20000))", "re: a pattern of more than" },
		{ "re('x', 'i\\0m')", "unknown flag" },
		{ "nosuch()", "unknown name nosuch" },
		{ "this is not lua", ":1: syntax error" },
	};
	char why[400];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (run(bad[i].script, 1000000, 5000, why, sizeof why))
			fail_msg("%s: was allowed", bad[i].script);
		if (strstr(why, bad[i].want) == NULL)
			fail_msg("%s: \"%s\" instead of \"%s\"", bad[i].script, why, bad[i].want);
	}
}

static void
stops(void **state)
{
	static const struct { const char *script, *want; } endless[] = {
		{ "while true do end", "over its budget of instructions" },
		{ "while true do pcall(function() while true do end end) end", "over its budget of instructions" },
		{ "pcall(pcall, function() while true do end end) error('caught')", "over its budget of instructions" },
		{ "local t = setmetatable({}, { __close = function() while true do end end }) local x <close> = t error('x')",
		    "over its budget of instructions" },
		{ "local s = 'x' while true do s = s .. s end", "memory" },
		{ "local t = {} while true do t[#t + 1] = {} end", "memory" },
		{ "while true do pcall(function() local s = ('x'):rep(1 << 30) end) end", "memory" },
		{ "while true do local s = ('x'):rep(4000000) end", "over its budget of instructions" },
		{ "local function f() return f() end f()", "over its budget of instructions" },
		{ "local s = ('a'):rep(250000) while true do s:find('b') end", "over its budget of instructions" },
		/* C functions for which the hook does not count */
		{ "local s = ('a'):rep(3000000) while true do s = s:lower() end", "over its" },
		{ "local s = ('a'):rep(3000000) while true do local t = s .. 'x' end", "over its" },
		{ "local s = ('a'):rep(3000000) while true do local t = s:sub(2) end", "over its" },
		{ "local s = ('a'):rep(3000000) while true do local t = string.format('%s', s) end", "over its" },
		{ "local t = {} for i = 1, 100000 do t[i] = i end while true do table.insert(t, 1, 0) table.remove(t, 1) end", "over its" },
		{ "local t = {} for i = 1, 100000 do t[i] = i % 7 end while true do table.sort(t) end", "over its" },
		{ "local t = {} for i = 1, 100000 do t[i] = 'xxxxxxxx' end while true do local s = table.concat(t) end", "over its" },
		{ "local t = {} for i = 1, 200 do t[i] = i end while true do local a = { table.unpack(t) } end", "over its" },
		{ "local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function() while true do end end)", "over its" },
		{ "('x'):rep(5000000)", "memory" },
		{ "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) return t[1]", "stack overflow" },
		{ "local function f(n) return n and f(n + 1) + 1 end f(1)", "over its" },
		{ "local s = string.rep('(', 300) error(#s > 0 and 'ends' or '')", "ends" },
		{ "local t = {} t.t = t setmetatable(t, { __concat = function() while true do end end }) return t .. t", "over its" },
		{ "for i = 1, math.huge do pcall(error) end", "over its" },
		/* what goes over all of a long text in one instruction */
		{ "local s = ('a'):rep(3000000) while true do utf8.len(s) end", "over its" },
		{ "local s = ('1'):rep(3000000) while true do local x = s + 1 end", "over its" },
		{ "local s = ('1'):rep(3000000) while true do local x = -s end", "over its" },
		{ "local s = ('1'):rep(3000000) while true do local x = tonumber(s) end", "over its" },
		{ "local s = ('a'):rep(100000) while true do local a = s:byte(1, -1) end", "over its" },
		{ "while true do table.unpack({}, 1, 100000) end", "over its" },
		{ "local s = ('\\0'):rep(300000) while true do local q = string.format('%q', s) end", "over its" },
		/* what would run when the collector does, with the hook off */
		{ "local mt = setmetatable({}, { __index = function(m) m.__gc = function() while true do end end end }) setmetatable({}, mt)\n"
		  "while true do local t = {} end", "over its" },
		{ "local mt = {} setmetatable({}, mt) mt.__gc = function() while true do end end while true do local t = {} end", "over its" },
		{ "local t = setmetatable({}, { __mode = 'k', __eq = function() while true do end end }) while true do t[{}] = {} end", "over its" },
	};
	char why[400];

	(void)state;
	for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
		int64_t start = clock_ms();

		if (run(endless[i].script, 3000000, 20000, why, sizeof why))
			fail_msg("%s: came to an end", endless[i].script);
		if (strstr(why, endless[i].want) == NULL)
			fail_msg("%s: \"%s\" instead of \"%s\"", endless[i].script, why, endless[i].want);
		assert_true(clock_ms() - start < 15000);
	}
}

/* With all the steps in the world, the clock ends it: in Lua and in a pattern. */
static void
stops_in_time(void **state)
{
	static const char *const slow[] = {
		"while true do end",
		"re('a\\\\w{0,40000}?\\\\d'):test(('a'):rep(256000))",
		"re('(?:a|aa)*?[bc]'):test(('a'):rep(256000))",
		"re('(a+)+$'):test(('a'):rep(250000) .. 'b')",
		"re('(?:a|b){0,900}[XY]'):all(('a'):rep(256000))",
		"local s = ('a'):rep(1000000) local a, b = s .. 'x', s .. 'y' while true do local x = a < b end",
		"local t = {} for i = 1, 100000 do t[i] = i end for i = 1, 100000 do t[i] = nil end while true do next(t) end",
	};
	char why[400];

	(void)state;
	for (size_t i = 0; i < sizeof slow / sizeof *slow; i++) {
		int64_t start = clock_ms();

		if (run(slow[i], INT64_MAX / 2, 200, why, sizeof why))
			fail_msg("%s: came to an end", slow[i]);
		if (strstr(why, "over its time") == NULL && strstr(why, "gave up") == NULL)
			fail_msg("%s: %s", slow[i], why);
		if (clock_ms() - start > 3000)
			fail_msg("%s: took %d ms of 200", slow[i], (int)(clock_ms() - start));
	}
}

/* Patterns that explode, or are saved by an optimisation: whatever becomes of them, it is soon. */
static void
ends_soon(void **state)
{
	static const char *const bombs[] = {
		"re('^.*.*.*b'):test(('a'):rep(250000))",
		"re('(?s)^(?:.*?a){30}$'):test(('a'):rep(250000) .. 'b')",
		"re('(?=(a+))\\\\1*c'):test(('a'):rep(250000))",
		"re('^(a|(?1)b)*c'):test(('a'):rep(250000))",
		"re('(?i)(x+x+)+y'):test(('x'):rep(250000))",
		"re('([a-z]+)*=', 'iu'):test(('\\u{e9}'):rep(125000))",
		"re('(*NO_JIT)(a*)*b'):test(('a'):rep(250000))",
		"re('(\\\\w+\\\\s?)*$'):count(('word '):rep(50000) .. '!')",
		"re('^((ab)*)*c$', 'm'):all(('ab'):rep(1000) .. '\\n' .. ('ab'):rep(100000))",
	};
	char why[400];

	(void)state;
	for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
		int64_t start = clock_ms();

		if (!run(bombs[i], INT64_MAX / 2, 200, why, sizeof why) && strstr(why, "over its time") == NULL && strstr(why, "gave up") == NULL)
			fail_msg("%s: %s", bombs[i], why);
		if (clock_ms() - start > 1500)
			fail_msg("%s: took %d ms of 200", bombs[i], (int)(clock_ms() - start));
	}
}

/* A process that did not get the processor is not to blame: stopped for half a second, it still has its 100 ms. */
static void
starves(void **state)
{
	char why[400];
	pid_t parent = getpid(), child = fork();

	(void)state;
	if (child == 0) {
		usleep(30000);
		kill(parent, SIGSTOP);
		usleep(500000);
		kill(parent, SIGCONT);
		_exit(0);
	}
	int64_t start = clock_ms();

	if (!run("local s = ('a'):rep(1000) local n = 0 for i = 1, 400000 do n = n + #(s:sub(1, 10)) end", INT64_MAX / 2, 100, why, sizeof why))
		fail_msg("%s", why);
	waitpid(child, NULL, 0);
	assert_true(clock_ms() - start >= 450);
}

/* A pattern that gives up has not found nothing. */
static void
giving_up_is_no_answer(void **state)
{
	char why[400];

	(void)state;
	assert_false(run("return re('^(?:a?){40}(?:a){40}[cd]$'):test(('a'):rep(60))", INT64_MAX / 2, 10000, why, sizeof why));
	assert_non_null(strstr(why, "pattern gave up"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(works), cmocka_unit_test(refuses), cmocka_unit_test(stops), cmocka_unit_test(stops_in_time), cmocka_unit_test(ends_soon), cmocka_unit_test(starves),
		cmocka_unit_test(giving_up_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
