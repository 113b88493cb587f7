// What makes the pages quicker to use. Everything works without it; nothing here builds HTML from text.
"use strict";
(function () {
	const list = document.getElementById("list");

	// Times as the reader's own clock shows them.
	for (const t of document.querySelectorAll("time[datetime]")) {
		const when = new Date(t.dateTime);
		if (!isNaN(when)) {
			t.textContent = when.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
			t.title = when.toISOString();
		}
	}
	// The menu may be wider than a phone: where we are is to be seen.
	const here = document.querySelector(".bar nav [aria-current]");
	if (here)
		here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 16;
	if (!list)
		return;

	const entries = [...list.querySelectorAll(".entry")];
	const boxes = entries.map(e => e.querySelector("input[type=checkbox]"));
	const all = document.getElementById("all");
	const picked = document.getElementById("picked");
	let at = -1, last = -1;

	function count() {
		const n = boxes.filter(b => b.checked).length;
		picked.textContent = n ? n + " " + picked.dataset.one : "";
		all.checked = n > 0 && n === boxes.length;
		all.indeterminate = n > 0 && n < boxes.length;
		list.classList.toggle("idle", n === 0);
	}
	all.addEventListener("change", () => { boxes.forEach(b => { b.checked = all.checked; }); count(); });
	boxes.forEach((b, i) => b.addEventListener("click", ev => {
		if (ev.shiftKey && last >= 0)
			for (let k = Math.min(last, i); k <= Math.max(last, i); k++)
				boxes[k].checked = b.checked;
		last = i;
		count();
	}));
	count();

	function go(to) {
		if (!entries.length)
			return;
		if (at >= 0)
			entries[at].classList.remove("at");
		at = Math.max(0, Math.min(entries.length - 1, to));
		entries[at].classList.add("at");
		entries[at].querySelector("a").focus({ preventScroll: true });
		entries[at].scrollIntoView({ block: "nearest" });
	}
	function act(op) {
		const button = list.querySelector("button[name=op][value=" + op + "]");
		if (!button)
			return;
		if (!boxes.some(b => b.checked) && at >= 0)
			boxes[at].checked = true;
		if (boxes.some(b => b.checked))
			list.requestSubmit(button);
	}
	const keys = {
		j: () => go(at + 1), k: () => go(at - 1), r: () => act("release"), d: () => act("delete"),
		x: () => { if (at >= 0) { boxes[at].checked = !boxes[at].checked; count(); } },
		o: () => { if (at >= 0) entries[at].querySelector("a").click(); },
		"/": () => document.querySelector("input[type=search]").focus(),
		"?": () => document.body.classList.toggle("help"),
	};
	document.addEventListener("keydown", ev => {
		if (ev.ctrlKey || ev.metaKey || ev.altKey || ev.target.matches("input:not([type=checkbox]), select, textarea"))
			return;
		if (keys[ev.key]) {
			ev.preventDefault();
			keys[ev.key]();
		}
	});
	// A picked nothing is no request.
	list.addEventListener("submit", ev => { if (!boxes.some(b => b.checked)) ev.preventDefault(); });
})();
