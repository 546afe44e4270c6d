// Calls @connections with Amazon's own client and prints what came back as JSON.
// Arguments: endpoint, id of a live connection, id of one whose budget is full.
import {
  ApiGatewayManagementApiClient,
  PostToConnectionCommand,
  GetConnectionCommand,
  DeleteConnectionCommand,
} from "@aws-sdk/client-apigatewaymanagementapi";

const [endpoint, id, full] = process.argv.slice(2);
const right = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "wJalrXUtnFEMI" };
const client = (more) =>
  new ApiGatewayManagementApiClient({ endpoint, region: "eu-central-1", credentials: right, maxAttempts: 1, ...more });

const sdk = client();
const status = (r) => r.$metadata.httpStatusCode;
const refused = (p) => p.then(() => "no error", (e) => `${e.name} ${e.$metadata?.httpStatusCode}`);
const post = (c, connection, data) => c.send(new PostToConnectionCommand({ ConnectionId: connection, Data: data }));

const got = {};
got.post = status(await post(sdk, id, new TextEncoder().encode("hällo from the SDK")));
const info = await sdk.send(new GetConnectionCommand({ ConnectionId: id }));
got.get = status(info);
got.connectedAt = info.ConnectedAt.toISOString();
got.sourceIp = info.Identity.SourceIp;
got.userAgent = info.Identity.UserAgent;
got.full = await refused(post(sdk, full, "x"));
got.unknown = await refused(post(sdk, "n1.7.zzz", "x"));
got.large = await refused(post(sdk, id, new Uint8Array(200 * 1024)));
got.wrongSecret = await refused(post(client({ credentials: { ...right, secretAccessKey: "other" } }), id, "x"));
got.wrongKey = await refused(post(client({ credentials: { ...right, accessKeyId: "OTHER" } }), id, "x"));
// A clock that is an hour off is refused.
got.late = await refused(post(client({ systemClockOffset: 3600_000 }), id, "x"));
got.delete = status(await sdk.send(new DeleteConnectionCommand({ ConnectionId: id })));
console.log(JSON.stringify(got));
