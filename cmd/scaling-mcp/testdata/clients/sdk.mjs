// An MCP client with the TypeScript SDK and nothing of its own: what to do comes
// in as a line of JSON, and what came of it goes out as one.
//
//	{"call": name, "arguments": {…}}  calls a tool
//	{"race": n, "call": name}         n clients with the same tokens, of which the
//	                                  access token is no good, call it at once
//
// Where the SDK sends the person to sign in, {"authorize": URL} goes out first and
// {"code": …} is waited for. The last line for each is {"results": […]}, or
// {"error": …}.

import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [url, clientMetadata, clientMetadataUrl] = process.argv.slice(2);
const metadata = JSON.parse(clientMetadata);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const hear = async () => JSON.parse((await lines.next()).value ?? "null");
const say = (message) => console.log(JSON.stringify(message));

let clientInformation, tokens, verifier, authorize;
const authProvider = {
	redirectUrl: metadata.redirect_uris[0],
	clientMetadata: metadata,
	clientMetadataUrl,
	state: () => crypto.randomUUID(),
	clientInformation: () => clientInformation,
	saveClientInformation: (saved) => { clientInformation = saved; },
	tokens: () => tokens,
	saveTokens: (saved) => { tokens = saved; },
	codeVerifier: () => verifier,
	saveCodeVerifier: (saved) => { verifier = saved; },
	redirectToAuthorization: (to) => { authorize = to; },
	invalidateCredentials: (which) => {
		if (which != "verifier") tokens = undefined;
		if (which == "all") clientInformation = undefined;
	},
};

// connect connects a client. Where the person must sign in it fails, and finishAuth
// of the transport is what goes on from there.
async function connect(onTransport = () => {}) {
	const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider });
	onTransport(transport);
	const client = new Client({ name: metadata.client_name, version: "1" });
	await client.connect(transport);
	return client;
}

async function use(client, name, args) {
	const result = await client.callTool({ name, arguments: args });
	if (result.isError) throw new Error(result.content[0].text);
	return result.structuredContent;
}

let client, transport;
async function call(name, args) {
	for (;;) {
		try {
			client ??= await connect((made) => { transport = made; });
			return [await use(client, name, args)];
		} catch (error) {
			if (!(error instanceof UnauthorizedError)) throw error;
			say({ authorize });
			await transport.finishAuth((await hear()).code);
		}
	}
}

async function race(n, name) {
	tokens = { ...tokens, access_token: "expired" };
	return Promise.all(Array.from({ length: n }, async () => use(await connect(), name)));
}

for (let order; (order = await hear()); ) {
	try {
		say({ results: await (order.race ? race(order.race, order.call) : call(order.call, order.arguments)) });
	} catch (error) {
		say({ error: String(error) });
	}
}
process.exit(); // transports may wait to connect again
