/** The container image: the test does the Dockerfile's steps by hand, because no image can be fetched here. */
import { describe, expect, test } from "bun:test";
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { onLoopback } from "./loopback.ts";
import { canIsolate, PROGRAM, REPOSITORY, run, TemporaryDirectory } from "./program.ts";
import { REQUEST } from "./sessions.ts";

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

const instructions: Instruction[] = readFileSync(join(REPOSITORY, "scripts/Dockerfile"), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => /^(\S+) (.*)$/.exec(line)!)
  .map(([, name, rest]) => ({ name: name!, rest: rest! }));
const rests = (name: string) => instructions.filter((each) => each.name === name).map(({ rest }) => rest);

const healthCheck = JSON.parse(/CMD (\[.*\])$/.exec(rests("HEALTHCHECK")[0]!)![1]!) as string[];

/** This machine as the stage from which the image is taken: changes go into a directory. Returns the image's root. */
function build(directory: TemporaryDirectory): string {
  const [upper, work, root] = ["upper", "work", "root"].map((name) => join(directory.path, name)) as [
    string,
    string,
    string,
  ];
  for (const path of [work, root, join(upper, "image")]) mkdirSync(path, { recursive: true });
  copyFileSync(PROGRAM, join(upper, "image/vxlan-to-http"));
  const steps = rests("RUN").map((command) => `chroot ${root} sh -euc ${Bun.$.escape(command)}`);
  const overlay = `mount -t overlay overlay -o lowerdir=/,upperdir=${upper},workdir=${work} ${root}`;
  const { success, stderr } = Bun.spawnSync(["unshare", "-m", "sh", "-euc", [overlay, ...steps].join("\n")], {
    stderr: "pipe",
  });
  if (!success) throw new Error(stderr.toString());
  return join(upper, "image");
}

describe.if(canIsolate("the container image, built by hand"))("the container image", () => {
  test("has only the file and its C library, and captures with three capabilities, finally as the user nobody", async () => {
    using directory = new TemporaryDirectory();
    const root = build(directory);
    const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const others = files.map(({ name }) => name).filter((name) => !/^(ld-linux|lib(c|m|dl|pthread))/.test(name));
    expect(others.toSorted()).toEqual(["group", "nsswitch.conf", "passwd", basename("/vxlan-to-http")]);

    for (const name of ["proc", "dev", "sys"]) mkdirSync(join(root, name));
    const outcome = await onLoopback({
      executable: (JSON.parse(rests("ENTRYPOINT")[0]!) as string[])[0]!,
      root,
      // sys_chroot is for the test's own chroot(1).
      through: [
        "env",
        ...rests("ENV"),
        "setpriv",
        "--bounding-set=-all,+net_raw,+setuid,+setgid,+sys_chroot",
        "--no-new-privs",
      ],
      meanwhile: healthCheck,
      // As --read-only and --tmpfs /tmp:exec do.
      prepare: `mount --rbind ${root} ${root} && mount -o remount,bind,ro ${root} && mount -t tmpfs none ${root}/tmp`,
    });
    expect(outcome.identities).toHaveLength(1);
    expect(outcome.identities[0]!).toMatchObject({ Groups: "", CapEff: "0000000000000000", NoNewPrivs: "1" });
    expect(outcome.identities[0]!["Uid"]).toBe("65534 65534 65534 65534");
    expect(outcome).toMatchObject({ status: 0, received: REQUEST, meanwhileStatus: 0 });
  }, 30_000);
});

test("its health check fails without a program", async () => {
  const { status, stderr } = await run(healthCheck.slice(1));
  expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringMatching(/\/livez: /) });
});
