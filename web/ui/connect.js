// What a script adds to the page that says how to connect a client: buttons that
// copy, and a wait for the new connection. Without it there are the text to select
// and a link to look again.
"use strict";

// This runs before the page is drawn, so that nothing on it moves.
if (navigator.clipboard) document.documentElement.classList.add("copies");

document.addEventListener("click", async event => {
	const button = event.target.closest("button[data-copies]");
	if (!button) return;
	const source = document.getElementById(button.dataset.copies), said = document.getElementById("copied");
	try {
		await navigator.clipboard.writeText(source.textContent);
	} catch {
		getSelection().selectAllChildren(source); // for the person to copy
		return;
	}
	const label = button.firstElementChild;
	label.textContent = said.textContent = "Copied";
	setTimeout(() => { label.textContent = "Copy"; said.textContent = ""; }, 2000);
});

document.addEventListener("DOMContentLoaded", () => {
	const place = document.getElementById("arrival");
	const soon = 2000, late = 30000;
	let pause = soon, timer = 0, asking = false, over = !place.dataset.ask;

	async function ask() {
		clearTimeout(timer);
		if (over || asking || document.hidden) return;
		asking = true;
		try {
			const answer = await fetch(place.dataset.ask, {redirect: "manual"});
			const notice = await answer.text(); // read even if empty, or the browser takes it for given up
			if (answer.status == 200) place.innerHTML = notice;
			// 204 is not yet. Anything else below 500 is for good: signed out, most likely.
			over = answer.status != 204 && answer.status < 500;
		} catch { /* away for a moment */ }
		asking = false;
		timer = setTimeout(ask, pause);
		pause = Math.min(pause * 1.05, late);
	}

	document.addEventListener("visibilitychange", () => { pause = soon; ask(); });
	ask();
});
