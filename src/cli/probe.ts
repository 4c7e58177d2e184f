/** Asks a running program whether it lives: for a container that has no other program that could ask. */
import { hostField, type ListenAddress } from "../address.ts";
import { RefusalError } from "../errors.ts";

const PATH = "/livez";
/** The main thread serves the request: if it has no turn for this long, the program is not well. */
const TIMEOUT_MS = 2000;

/** Resolves with the admin port's text if the program lives. Rejects with RefusalError if the port does not say so. */
export async function probe(address: ListenAddress): Promise<string> {
  // Not fetch: a proxy of the environment would respond instead. No other run needs the module.
  const { get } = await import("node:http");
  const url = `http://${hostField(address)}${PATH}`;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const refuse = (why: string) => reject(new RefusalError(`Cannot tell whether the program lives: ${url}: ${why}`));
  const request = get(url, { signal: AbortSignal.timeout(TIMEOUT_MS) }, ({ statusCode }) => {
    if (statusCode === 200) resolve(`${url}: status ${statusCode}`);
    else refuse(`status ${statusCode}`);
  });
  request.on("error", ({ message }) => refuse(message));
  return await promise;
}
