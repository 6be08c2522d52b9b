// Clerk's own library for servers, and nothing besides: what to do comes in as a
// line of JSON, and what the library made of it goes out as one.
//
//	{"call": "users.getUser", "args": [...], "apiUrl": ..., "secretKey": ...}
//	{"verify": body, "headers": {...}, "signingSecret": ...}  verifies a webhook
//
// {"value": ..., "missing": [...]} names what the library's objects have room for
// and were not given; {"error": {...}} is what it threw.

import { createInterface } from "node:readline";
import { createClerkClient } from "@clerk/backend";
import { verifyWebhook } from "@clerk/backend/webhooks";

// missing returns the paths in value that are undefined. What the answer was made
// from is in _raw.
function missing(value, path = "") {
	if (value === undefined) return [path];
	if (value === null || typeof value != "object") return [];
	return Object.entries(value).filter(([name]) => name != "_raw").flatMap(([name, member]) =>
		missing(member, Array.isArray(value) ? path + "[]" : path && path + "." + name || name));
}

async function obey({ call, args, apiUrl, secretKey, verify, headers, signingSecret }) {
	if (verify !== undefined) {
		return verifyWebhook(new Request("http://localhost/", { method: "POST", headers, body: verify }), { signingSecret });
	}
	const [api, method] = call.split(".");
	return createClerkClient({ apiUrl, secretKey, telemetry: { disabled: true } })[api][method](...args);
}

for await (const line of createInterface({ input: process.stdin })) {
	try {
		const value = await obey(JSON.parse(line));
		console.log(JSON.stringify({ value, missing: [...new Set(missing(value))] }, (name, member) => name == "_raw" ? undefined : member));
	} catch (error) {
		const { name, message, status, errors, clerkTraceId, retryAfter } = error;
		console.log(JSON.stringify({ error: { name, message, status, code: errors?.[0]?.code, traced: !!clerkTraceId, retryAfter } }));
	}
}
