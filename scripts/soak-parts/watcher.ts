/**
 * Watches the program meanwhile: metrics every second, as Prometheus does, and the requests of the page in a browser.
 * Prints a line for each wrong response.
 *
 *     bun watcher.ts ADMIN
 */
import { setTimeout as sleep } from "node:timers/promises";

const [admin] = process.argv.slice(2) as [string];
const EVERY_MS = 1000;
const TIMEOUT_MS = 5000;
const ASKED: [path: string, has: string][] = [
  ["/metrics", "vxlan_to_http_frames_captured_total "],
  ["/history", "["],
  ["/status", '"frames"'],
  ["/", "<html"],
  ["/livez", ""],
];

async function ask(path: string, has: string): Promise<void> {
  try {
    const response = await fetch(`http://${admin}${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    const text = await response.text();
    if (!response.ok || !text.includes(has)) console.log(`${path}: status ${response.status}, ${text.length} bytes`);
  } catch (error) {
    console.log(`${path}: ${(error as Error).message}`);
  }
}

console.log("watching");
for (;;) {
  for (const [path, has] of ASKED) await ask(path, has);
  await sleep(EVERY_MS);
}
