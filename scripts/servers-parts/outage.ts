/** An endpoint that goes away in the middle of a savefile: for a while, and for ever. */
import { PORT, session, VNI } from "../../test/executable/sessions.ts";
import { forward, identityFaults } from "../../test/servers/mirror.ts";
import { OK, RawEndpoint } from "../../test/servers/raw-endpoint.ts";
import { pcap } from "../../test/support/frames.ts";
import { freePort } from "../../test/support/free-port.ts";
import type { Part, Row } from "./table.ts";

const REQUESTS = 400;
const AWAY_MS = 8000;
/** For ever: less than the default, so that this part does not take a minute. */
const OUTAGE_TIMEOUT_S = "10";

export const outage: Part = async (directory) => {
  const targets = Array.from({ length: REQUESTS }, (_, i) => `GET /${i}`);
  const savefile = pcap(session(targets.map((target) => `${target} HTTP/1.1\r\nHost: prod.example\r\n\r\n`)));

  const away = async (flags: string[], backMs: number | undefined): Promise<Row> => {
    const port = freePort();
    let second: RawEndpoint | undefined;
    const first: RawEndpoint = await RawEndpoint.listen({
      port,
      respond: ({ socket }, _request, number) => {
        socket.write(OK, () => {
          if (number !== REQUESTS / 2 - 1) return;
          first.stop();
          if (backMs !== undefined)
            setTimeout(() => void RawEndpoint.listen({ port }).then((endpoint) => (second = endpoint)), backMs);
        });
      },
    });
    const { status, counters, stderr } = await forward(
      { savefile, vni: VNI, port: PORT },
      `127.0.0.1:${port}`,
      directory,
      flags,
    );
    const served = [...first.lines(), ...(second?.lines() ?? [])];
    first.stop();
    second?.stop();
    const isBack = backMs !== undefined;
    const wanted = isBack ? targets : targets.slice(0, REQUESTS / 2);
    const faults = identityFaults(counters);
    if (served.join() !== wanted.join())
      faults.push(
        `${served.length} of ${wanted.length} were served; dropped: ${JSON.stringify(counters.requests.dropped)}`,
      );
    if (status !== (isBack ? 0 : 1)) faults.push(`exit status ${status}`);
    if (!/ WARN /.test(stderr)) faults.push("the log does not report the outage");
    const what = isBack ? `${backMs / 1000} s of ${REQUESTS} requests` : "for good";
    return {
      part: "outage",
      server: what,
      plainly: wanted.length,
      mirrored: served.length,
      note: `exit status ${status}`,
      faults,
    };
  };

  return [await away([], AWAY_MS), await away(["--outage-timeout-s", OUTAGE_TIMEOUT_S], undefined)];
};
