/** Secrets in differing requests and responses: in no file, and in no line of the log. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pcap } from "../support/frames.ts";
import { run, TemporaryDirectory } from "./program.ts";
import { exchanges, VNI } from "./sessions.ts";

const SECRETS = ["hunter2hunter2", "4111111111111111", "AKIAIOSFODNN7EXAMPLE"];
const [PASSWORD, CARD, KEY] = SECRETS as [string, string, string];

const TARGETS = [`/login?password=${PASSWORD}`, `/pay?n=${CARD}`, "/user", "/text", `/keys/${KEY}`];

function respond(target: string, who: string): string {
  const json = `{"who":"${who}","user":{"token":"${PASSWORD}${who}","card":"${CARD}"},"list":[{"secret":"${PASSWORD}"}]}`;
  const [type, body] =
    target === "/text" ? ["text/plain", `password=${PASSWORD}${who}&who=${who}`] : ["application/json", json];
  const fields = [
    `Content-Type: ${type}`,
    `Set-Cookie: ${who}=${PASSWORD}`,
    `X-Api-Key: ${PASSWORD}${who}`,
    `X-Key: ${KEY} ${who}`,
  ];
  return `HTTP/1.1 200 OK\r\n${fields.join("\r\n")}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

const request = (target: string) =>
  `GET ${target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${PASSWORD}\r\nCookie: a=${PASSWORD}\r\n\r\n`;
const savefile = () => pcap(exchanges(TARGETS.map((target) => [request(target), respond(target, "production")])));

test("the written parts of differing responses contain no secret, except with --no-redact", async () => {
  using directory = new TemporaryDirectory();
  using endpoint = Bun.listen<{ text: string }>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      open: (socket) => void (socket.data = { text: "" }),
      data(socket, bytes) {
        socket.data.text += bytes.toString();
        for (let end = socket.data.text.indexOf("\r\n\r\n"); end >= 0; end = socket.data.text.indexOf("\r\n\r\n")) {
          const [, target] = socket.data.text.split(" ", 2) as [string, string];
          socket.data.text = socket.data.text.slice(end + 4);
          socket.write(respond(target, "endpoint"));
        }
      },
    },
  });
  const files = ["summary.json", "differences.ndjson", "mirror.pcap"].map((name) => join(directory.path, name));
  const [summary, differences, mirror] = files as [string, string, string];
  await Bun.write(mirror, savefile());
  const args = [
    "--compare",
    "--log-level",
    "trace",
    "--summary",
    summary,
    "--differences",
    differences,
    "--read",
    mirror,
  ];
  const written = async (...more: string[]) => {
    const { stdout, stderr } = await run([...more, ...args, String(VNI), "80", `127.0.0.1:${endpoint.port}`]);
    return [stdout, stderr, readFileSync(summary, "utf8"), readFileSync(differences, "utf8")];
  };
  const blotted = await written();
  expect(JSON.parse(blotted[2]!).comparison).toMatchObject({ compared: TARGETS.length, different: TARGETS.length });
  expect(blotted[3]!.trimEnd().split("\n").length).toBeGreaterThan(TARGETS.length);
  for (const text of blotted) for (const secret of SECRETS) expect(text).not.toContain(secret);
  const plain = await written("--no-redact");
  for (const secret of SECRETS) expect(plain[3]).toContain(secret);
  expect(plain[1]).toContain("--no-redact");
});
