/** The identity of the program while it captures: an ordinary user, with one capability or with none. */
import { describe, expect, test } from "bun:test";
import { bareSystem, onLoopback } from "./loopback.ts";
import { canIsolate, run, TemporaryDirectory } from "./program.ts";
import { RecordingEndpoint } from "./recording-endpoint.ts";
import { oneRequest, PORT, QUICK_TCP, REQUEST, VNI } from "./sessions.ts";

const isolated = canIsolate("who the program is while it captures");
const NOBODY = "65534";
/** Only CAP_NET_RAW, as a bit of a set. */
const NET_RAW = "0000000000002000";
const NONE = "0000000000000000";

const asNobody = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"];
const withNetRaw = [...asNobody, "--inh-caps=+net_raw", "--ambient-caps=+net_raw"];

/** The expected identity of each thread. */
const identity = (capabilities: string) => ({
  Uid: Array.from({ length: 4 }, () => NOBODY).join(" "),
  Gid: Array.from({ length: 4 }, () => NOBODY).join(" "),
  Groups: "",
  CapPrm: capabilities,
  CapEff: capabilities,
  CapAmb: capabilities,
});

describe.if(isolated)("on an interface", () => {
  test("--user: every thread becomes that user, without groups or capabilities, and captures and forwards", async () => {
    const outcome = await onLoopback({ flags: ["--threads", "3", "--user", "nobody"] });
    expect(outcome.identities).toEqual([expect.objectContaining(identity(NONE))]);
    // Other processes of the user nobody can neither read production's requests in its memory, nor take its capture
    // handles.
    expect(outcome).toMatchObject({ status: 0, received: REQUEST, refusedMeanwhile: 0, memoryOwner: 0 });
  });

  test("--user with the embedded libpcap, on a nearly empty system", async () => {
    using root = bareSystem();
    root.file("etc/passwd", `mirror:x:${NOBODY}:${NOBODY}::/:/none\n`);
    const outcome = await onLoopback({ executable: "/vxlan-to-http", root: root.path, flags: ["--user", "mirror"] });
    expect(outcome.stderr).toContain("Using the embedded libpcap");
    expect(outcome.identities).toEqual([expect.objectContaining(identity(NONE))]);
    expect(outcome).toMatchObject({ status: 0, received: REQUEST });
  });

  test("an ordinary user with CAP_NET_RAW and nothing else captures and forwards", async () => {
    using directory = new TemporaryDirectory();
    const outcome = await onLoopback({ executable: directory.copyOfProgram(), through: withNetRaw });
    expect(outcome.identities).toEqual([expect.objectContaining(identity(NET_RAW))]);
    expect(outcome).toMatchObject({ status: 0, received: REQUEST, refusedMeanwhile: 0 });
  });

  const refusals: [why: string, user: string, through: string[], message: string][] = [
    ["a user that there is not", "no-such-user", [], "Cannot run as no-such-user: there is no such user\n"],
    ["root", "root", [], "Cannot run as root: this is root itself; name an ordinary user\n"],
    [
      "a start that is not root's",
      "nobody",
      withNetRaw,
      "Cannot run as nobody: only root can become another user; leave out --user\n",
    ],
    [
      "root without the capability",
      "nobody",
      ["setpriv", "--bounding-set=-setuid,-setgid"],
      "Cannot run as nobody: the system does not let this process (CAP_SETUID, CAP_SETGID)\n",
    ],
  ];
  test.each(refusals)("--user refuses %s", async (_why, user, through, message) => {
    using directory = new TemporaryDirectory();
    const outcome = await onLoopback({ executable: directory.copyOfProgram(), through, flags: ["--user", user] });
    expect(outcome.stderr).toEndWith(`vxlan-to-http: ${message}`);
    expect(outcome).toMatchObject({ status: 1, received: "" });
  });
});

test.if(isolated)("--user with --read: the savefile is open before, the summary too", async () => {
  using directory = new TemporaryDirectory();
  using endpoint = new RecordingEndpoint();
  const capture = directory.file("one.pcap", oneRequest);
  const summary = directory.file("summary.json", "");
  const flags = [...QUICK_TCP, "--user", "nobody", "--summary", summary, "--read", capture];
  const { status } = await run([...flags, String(VNI), String(PORT), endpoint.address]);
  expect(status).toBe(0);
  expect(endpoint.text()).toBe(REQUEST);
  expect(await Bun.file(summary).json()).toMatchObject({ frames: { segments: 3 } });
});
