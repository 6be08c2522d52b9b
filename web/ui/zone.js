// Tells the server which time zone this browser is in. The page stays as it is, so
// that nothing on it moves; the next one has its times in that zone.
"use strict";

{
	const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
	const secure = location.protocol == "https:" ? "; secure" : "";
	if (zone) document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax${secure}`;
}
