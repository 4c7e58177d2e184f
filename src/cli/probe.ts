/** Asking a running program whether it lives: for a container, in which there is nothing else that could ask. */
// Not fetch, which a proxy that the environment names would answer.
import { get } from "node:http";
import { type ForwardAddress, hostField } from "../address.ts";
import { RefusalError } from "../errors.ts";

const PATH = "/livez";
/** The main thread serves it; where that has no turn for so long, all is not well. */
const TIMEOUT_MS = 2000;

/** Resolves with what the admin port says where the program lives. Throws RefusalError where it does not say so. */
export function probe(address: ForwardAddress): Promise<string> {
  const url = `http://${hostField(address)}${PATH}`;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const refuse = (why: string) => reject(new RefusalError(`Cannot tell that it lives: ${url}: ${why}`));
  const request = get(url, { signal: AbortSignal.timeout(TIMEOUT_MS) }, ({ statusCode }) => {
    if (statusCode === 200) resolve(`${url}: status ${statusCode}`);
    else refuse(`status ${statusCode}`);
  });
  request.on("error", ({ message }) => refuse(message));
  return promise;
}
