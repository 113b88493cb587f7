// The journeys of the review pages in a real browser: what people do, what they see, and what a stranger's mail must not do.
// Started by tests/system/test_web.py with a JSON file; prints one line a check, exit 1 when any fails.
"use strict";
const fs = require("fs"), path = require("path");
const cfg = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const { chromium } = require(path.join(cfg.modules, "playwright-core"));
const axe = fs.readFileSync(path.join(cfg.modules, "axe-core", "axe.min.js"), "utf8");
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
	"--disable-component-update", "--disable-sync"];
const LIGHT = { viewport: { width: 1200, height: 850 }, locale: "en-GB" }, DARK = { ...LIGHT, colorScheme: "dark" };
const PHONE = { viewport: { width: 390, height: 844 }, locale: "de-DE", hasTouch: true, isMobile: true };
let failed = 0, browser;

function check(good, what) {
	console.log((good ? "ok   " : "FAIL ") + what);
	failed += !good;
}
// A context that notes what must never happen: dialogs, requests elsewhere, errors in our own script.
async function open(options) {
	const context = await browser.newContext(options);
	const page = await context.newPage();
	page.bad = [];
	page.on("dialog", d => { page.bad.push("dialog " + d.message()); d.dismiss(); });
	page.on("pageerror", e => page.bad.push("error " + e.message));
	context.on("page", p => { if (p !== page) page.bad.push("a window opened"); });
	page.on("request", r => {
		if (!r.url().startsWith(cfg.url + "/") && !r.url().startsWith("about:"))
			page.bad.push("request " + r.url());
	});
	return page;
}
async function signIn(page, who) {
	await page.goto(cfg.url + "/signin");
	await page.fill("#name", who);
	await page.fill("#password", cfg.password);
	await page.click("main button.primary");
	await page.waitForSelector("form.who");
	return page;
}
async function violations(page) {
	// The frame with a stranger's HTML is not ours to make accessible; its sandbox lets axe in nowhere.
	return await page.evaluate(async source => {
		if (!window.axe)
			(0, eval)(source);
		const r = await window.axe.run({ exclude: [["iframe"]] }, { iframes: false, runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] });
		return r.violations.map(v => v.id + ": " + v.nodes.slice(0, 3).map(n => n.target.join(" ")).join(", "));
	}, axe).catch(e => ["axe could not run: " + e.message.split("\n")[0]]);
}
async function accessible(page, name) {
	const found = await violations(page);
	check(found.length === 0, "axe " + name + (found.length ? ": " + found.join("; ") : ""));
}
async function shot(page, name) {
	await page.screenshot({ path: path.join(cfg.shots, name + ".png"), fullPage: true });
}
// Our pages' policy forbids eval, which axe needs: the same page once more in a context that passes over it, to look only.
const signedIn = {};
async function look(who, at, name) {
	if (who && !signedIn[who]) {
		const page = await signIn(await open(LIGHT), who);
		signedIn[who] = await page.context().storageState();
		await page.context().close();
	}
	for (const [kind, options] of [["light", LIGHT], ["dark", DARK], ["phone", PHONE]]) {
		const page = await open({ ...options, bypassCSP: true, storageState: signedIn[who] });
		await page.goto(cfg.url + at);
		await shot(page, name + "-" + kind);
		await accessible(page, name + " " + kind);
		const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth + 1);
		check(!wide, "no sideways scrolling: " + name + " " + kind);
		if (name === "signin" && kind === "light") {
			await page.evaluate(() => document.querySelector("label[for=name]").remove());
			check((await violations(page)).some(v => v.startsWith("label:")), "axe sees a field that has lost its label");
		}
		await page.context().close();
	}
}

async function owner() {
	const page = await signIn(await open(LIGHT), cfg.owner);
	check(await page.locator(".entry").count() >= 3, "owner sees his held mail");
	check(!(await page.content()).includes("other.example"), "and nobody else's");
	await page.keyboard.press("/");
	await page.keyboard.type("invoice");
	await page.keyboard.press("Enter");
	await page.waitForURL(/search=invoice/);
	check(await page.locator(".entry").count() === 1, "search finds the one mail");
	await page.click(".entry a");
	await page.waitForSelector("article.message");
	check((await page.textContent(".body")).includes("Please see the attached invoice"), "its text is shown");
	check(await page.locator(".score svg circle").count() === 1, "and its score against the thresholds");
	check(await page.locator(".reasons li").count() >= 1, "and why, in words");
	await page.click("button[value=release]");
	await page.waitForSelector(".badge-state");
	await page.waitForSelector("text=/SINK\\d+/", { timeout: 10000 }).catch(() => 0);
	await page.reload();
	check((await page.textContent("article")).includes("SINK"), "released: the MTA's queue id is shown");
	await page.goto(cfg.url + "/");
	await page.keyboard.press("j");
	await page.keyboard.press("x");
	check((await page.textContent("#picked")).startsWith("1 "), "keys move and pick");
	const before = await page.locator(".entry").count();
	await page.keyboard.press("d");
	await page.waitForSelector(".flash");
	check(await page.locator(".entry").count() === before - 1, "deleted by key");
	await page.click(".flash button[value=undo]");
	await page.waitForSelector(".flash");
	check(await page.locator(".entry").count() === before, "undone");
	await page.check("#all");
	check(await page.locator(".entry input:checked").count() === before, "all picked at once");
	await page.goto(cfg.url + "/settings");
	await page.fill("#tag", "3.5");
	await page.click("form[action='/settings'] button.primary");
	await page.waitForSelector(".flash");
	check((await page.textContent("main")).includes("3.5, set for this mailbox"), "own threshold saved, and where it comes from is shown");
	check(page.bad.length === 0, "owner's journey without dialogs, errors, foreign requests " + page.bad.join("; "));
	await page.context().close();
}
async function admin() {
	const asks = await signIn(await open(PHONE), cfg.owner);
	await asks.goto(cfg.url + "/m/" + cfg.mails.phish);
	check(await asks.locator("button[value=release]").count() === 0, "owner cannot release phishing");
	await asks.click("button[value=request]");
	await asks.waitForSelector("text=/Zustellung erbeten/");
	await asks.context().close();
	const page = await signIn(await open(LIGHT), cfg.admin);
	await page.selectOption("select[name=state]", "requested");
	await page.click("form.search button");
	await page.waitForURL(/state=requested/);
	check(await page.locator(".entry").count() === 1, "admin finds the request");
	await page.click(".entry a");
	check(!(await page.content()).includes("click here to verify"), "admin does not see the body");
	await page.click("button[value=approve]");
	await page.waitForSelector("text=/SINK\\d+/", { timeout: 10000 }).catch(() => 0);
	await page.reload();
	check((await page.textContent("article")).includes("delivered"), "approved and delivered");
	await page.goto(cfg.url + "/audit");
	check((await page.textContent("main")).includes("mail.approve"), "the audit log has it");
	await page.goto(cfg.url + "/stats");
	check(await page.locator("svg.chart rect").count() >= 1, "statistics draw a chart");
	check(page.bad.length === 0, "admin's journey clean " + page.bad.join("; "));
	await page.context().close();
}
// One mail delivered and its sender allowed, in one step; then taken off the list again.
async function allowing() {
	const page = await signIn(await open(PHONE), cfg.owner);
	await page.click(".entry a:has-text('Cheap watches 1')");
	await page.click("summary:has-text('und von nun an immer')");
	check((await page.textContent("details[open]")).includes("ann@sender.example"), "what will be allowed is said before");
	await page.selectOption("select[name=days]", "31");
	await shot(page, "allow-phone");
	await page.click("button[value=allow]");
	await page.waitForSelector(".flash");
	check((await page.textContent(".flash")).includes("Wird von nun an immer zugestellt: Mail von ann@sender.example"), "delivered and allowed in one step");
	await shot(page, "allowed-phone");
	await page.goto(cfg.url + "/settings");
	const entry = page.locator("li:has-text('ann@sender.example')");
	check((await entry.textContent()).includes("bis"), "the entry and its end stand in the settings");
	await entry.locator("button").click();
	await page.waitForSelector(".flash");
	check(await page.locator("li:has-text('ann@sender.example')").count() === 0, "and can be taken off again");
	await page.goto(cfg.url + "/");
	await page.click(".entry a:has-text('Cheap watches 2')");
	await page.click("text=Diesen Absender sperren");
	await page.waitForSelector(".flash");
	check((await page.textContent(".flash")).includes("nicht zugestellt"), "a sender is blocked from his mail");
	await page.click(".flash a");
	await page.locator("li:has-text('ann@sender.example') button").click();
	await page.waitForSelector(".flash");
	check(page.bad.length === 0, "allowing and blocking clean " + page.bad.join("; "));
	await page.context().close();
}
// Support reads a customer's mail: one asks, another agrees, and both are seen.
async function twoPersons() {
	const sue = await signIn(await open(LIGHT), cfg.support), anna = await signIn(await open(PHONE), cfg.admin);
	const at = cfg.url + "/m/" + cfg.mails.phish;
	await sue.goto(at);
	check(!(await sue.content()).includes("click here to verify"), "support does not see the body");
	await sue.fill("input[name=reason]", "ticket 4711: customer asks what this is");
	await sue.click("form[action*='/unseal'] button");
	await sue.waitForSelector("text=a second person has to agree");
	await shot(sue, "seal-asked");
	await anna.goto(cfg.url + "/");
	check((await anna.textContent(".count")) === "1", "the admin is told that somebody asks");
	await anna.click("nav a[href='/seals']");
	check((await anna.textContent("main")).includes("ticket 4711"), "and why");
	await shot(anna, "seals-phone");
	await anna.click("button[value=open]");
	await anna.waitForSelector("button[value=close]");
	await sue.goto(at);
	check((await sue.content()).includes("click here to verify"), "agreed to: support reads it");
	await anna.click("button[value=close]");
	await anna.waitForSelector("text=vorbei");
	await sue.reload();
	check(!(await sue.content()).includes("click here to verify"), "ended: support does not read it any more");
	await anna.goto(cfg.url + "/audit");
	const log = await anna.textContent("main");
	check(["seal.ask", "seal.open", "mail.read", "seal.close"].every(a => log.includes(a)), "the customer's audit log has every step");
	check(sue.bad.length + anna.bad.length === 0, "reading by two clean " + sue.bad.concat(anna.bad).join("; "));
	await sue.context().close();
	await anna.context().close();
}
async function support() {
	const page = await signIn(await open(LIGHT), cfg.support);
	await page.goto(cfg.url + "/support");
	await page.fill("input[name=q]", "eve@shop.example");
	await page.click("form.search button");
	await page.waitForSelector(".event");
	check((await page.textContent(".timeline")).includes("for eve"), "support finds a mail by recipient");
	await page.click(".event a");
	await page.waitForSelector("article.message");
	check(!(await page.content()).includes("words for eve only"), "support does not see the body");
	await page.fill(".actions input[name=note]", "T-4711");
	await page.click("button[value=release]");
	await page.waitForSelector("text=/SINK\\d+/", { timeout: 10000 }).catch(() => 0);
	await page.reload();
	check((await page.textContent("article")).includes("delivered"), "support releases with a ticket");
	check(page.bad.length === 0, "support's journey clean " + page.bad.join("; "));
	await page.context().close();
}
async function abuse() {
	const page = await signIn(await open(DARK), cfg.abuse);
	await page.selectOption("select[name=class]", "virus");
	await page.click("form.search button");
	await page.waitForURL(/class=virus/);
	const n = await page.locator(".entry").count();
	check(n >= 1, "the abuse desk filters by kind");
	await page.check("#all");
	await page.click("#bulk button[value=release]");
	await page.waitForSelector(".flash");
	check((await page.textContent(".flash")).includes("not done"), "a virus is not delivered, and the page says so");
	await page.goto(cfg.url + "/?class=virus");
	await page.check("#all");
	await page.click("#bulk button[value=delete]");
	await page.waitForSelector(".flash");
	check((await page.textContent(".flash")).includes(n + " deleted"), "deleted in bulk");
	check(page.bad.length === 0, "abuse desk's journey clean " + page.bad.join("; "));
	await page.context().close();
}
async function withoutScripts() {
	const page = await signIn(await open({ ...LIGHT, javaScriptEnabled: false }), cfg.owner);
	const before = await page.locator(".entry").count();
	await page.locator(".entry input").first().check();
	await page.click("#bulk button[value=delete]");
	await page.waitForSelector(".flash");
	check(await page.locator(".entry").count() === before - 1, "without JavaScript: pick and delete");
	await page.click(".flash button[value=undo]");
	check(await page.locator(".entry").count() === before, "without JavaScript: undo");
	await page.goto(cfg.url + cfg.link.path);
	await page.fill("#code", cfg.link.number);
	await shot(page, "digest-link");
	await page.click("button[value=release]");
	check((await page.textContent("main")).includes("delivered or on its way"), "without JavaScript: a digest's link, number, deliver");
	await page.context().close();
}
async function hostile() {
	const page = await signIn(await open(LIGHT), cfg.hostile.who);
	let scripts = 0, seen = 0, shownHtml = 0;

	for (const id of cfg.hostile.ids) {
		const r = await page.goto(cfg.url + "/m/" + id + "?n=0");
		if (r.status() !== 200) {
			check(false, "hostile mail " + id + ": " + r.status());
			continue;
		}
		const details = page.locator("#html summary");
		if (await details.count()) {
			await details.click();
			await page.locator("#html iframe").scrollIntoViewIfNeeded();
			await page.waitForTimeout(60);
			shownHtml++;
		}
		for (const frame of page.frames().slice(1)) {
			const html = await frame.content().catch(() => "");
			scripts += (html.match(/<script|<iframe|<object|<embed|<form|<link|<meta http|\son\w+\s*=|javascript:[^\]]*["']/gi) || []).length;
		}
		const own = await page.evaluate(() => [...document.scripts].map(s => s.src + s.textContent).join());
		scripts += own !== cfg.url + "/static/app.js";
		seen++;
	}
	console.log("     " + seen + " hostile mails rendered, " + shownHtml + " with HTML");
	check(page.bad.filter(b => b.startsWith("dialog")).length === 0, "hostile mails: 0 dialogs");
	check(page.bad.filter(b => b.startsWith("request")).length === 0, "hostile mails: 0 requests off our origin " + page.bad.slice(0, 3).join("; "));
	check(scripts === 0, "hostile mails: 0 scripts (" + scripts + ")");
	check(page.bad.length === 0, "hostile mails: nothing else " + page.bad.slice(0, 3).join("; "));
	await page.context().close();
}

(async () => {
	browser = await chromium.launch({ executablePath: cfg.chromium, args: FLAGS });
	try {
		for (const journey of cfg.journeys)
			await ({ owner, admin, allowing, support, twoPersons, abuse, withoutScripts, hostile }[journey])();
		for (const [who, at, name] of cfg.look)
			await look(who, at, name);
	} catch (e) {
		check(false, "a journey broke off: " + e.stack.split("\n").slice(0, 4).join(" | "));
	}
	await browser.close();
	process.exit(failed ? 1 : 0);
})();
