import { expect, test } from "bun:test";
import { run } from "./program.ts";
import { refusingAddress } from "./recording-endpoint.ts";

test("--probe asks /livez, and the exit status is its result", async () => {
  const asked: string[] = [];
  let status = 200;
  await using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch({ method, url }) {
      asked.push(`${method} ${new URL(url).pathname}`);
      return new Response("", { status });
    },
  });
  const address = `127.0.0.1:${server.port}`;
  // The proxy of the environment must not be used.
  const env = { http_proxy: `http://${refusingAddress()}` };
  expect(await run(["--probe", address], { env })).toMatchObject({ status: 0, stderr: "" });
  status = 503;
  const unwell = await run(["--probe", address]);
  expect(unwell).toMatchObject({ status: 1, stdout: "" });
  expect(unwell.stderr).toEndWith("/livez: status 503\n");
  expect(asked).toEqual(["GET /livez", "GET /livez"]);
});

test("--probe without a listener, and with wrong addresses", async () => {
  const { status, stderr } = await run(["--probe", refusingAddress()]);
  expect({ status, stderr }).toEqual({
    status: 1,
    stderr: expect.stringMatching(/^vxlan-to-http: Cannot tell whether/),
  });
  for (const args of [["--probe"], ["--probe", "nonsense"]]) {
    const refused = await run(args);
    expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining("Cannot use --probe ") });
  }
});
