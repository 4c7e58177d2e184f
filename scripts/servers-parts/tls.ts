/** Large uploads to endpoints that speak TLS: nothing is lost. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { PORT, VNI } from "../../test/executable/sessions.ts";
import { forward, identityFaults } from "../../test/servers/mirror.ts";
import { available, BUN, GO, nginx, NODE, start } from "../../test/servers/real-servers.ts";
import { type Setting, upload, withTls } from "../../test/servers/tls-servers.ts";
import { Authority } from "../../test/support/authority.ts";
import { pcap } from "../../test/support/frames.ts";
import type { Part, Row } from "./table.ts";

const UPLOAD_BYTES = 100 << 20;
/** nginx does not log larger bodies. */
const UPLOAD_TO_NGINX_BYTES = 8 << 20;
const SEGMENT_BYTES = 60_000;

export const tls: Part = async (directory) => {
  const certificates = join(directory.path, "tls");
  mkdirSync(certificates);
  const authority = new Authority(certificates);
  const file = (length: number) => {
    const bytes = new Uint8Array(length).map((_, i) => (i * 7919) >> 3);
    const savefile = directory.file(`upload-${length}.pcap`, pcap(upload(bytes, SEGMENT_BYTES)));
    return { savefile, digest: Bun.SHA256.hash(bytes, "hex") };
  };
  const [large, small] = [file(UPLOAD_BYTES), file(UPLOAD_TO_NGINX_BYTES)];
  const settings: Setting[] = [
    { certificate: authority.issue({ algorithm: "rsa" }), version: "TLSv1.2" },
    { certificate: authority.issue(), version: "TLSv1.3" },
  ];
  const rows: Row[] = [];
  for (const server of available([nginx(), NODE, BUN, GO], "TLS")) {
    const { savefile, digest } = server.name === "nginx" ? small : large;
    for (const setting of settings) {
      const running = await start(withTls(server, setting), directory);
      const begin = performance.now();
      const mirror = { savefile, vni: VNI, port: PORT };
      const address = `https://localhost:${running.port}`;
      const { status, counters } = await forward(mirror, address, directory, ["--tls-ca", authority.cert]);
      const seconds = ((performance.now() - begin) / 1000).toFixed(1);
      const served = await running.stop();
      const faults = identityFaults(counters);
      if (status !== 0) faults.push(`exit status ${status}`);
      if (served.some((line) => line.digest !== digest)) faults.push(`the body differs: ${served[0]!.length} bytes`);
      if (served.length !== 1) faults.push(`${served.length} requests were served`);
      const what = `${server.name}, ${setting.version}`;
      rows.push({ part: "tls", server: what, plainly: 1, mirrored: served.length, note: `${seconds} s`, faults });
    }
  }
  return rows;
};
