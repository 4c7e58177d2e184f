/** Production, or the endpoint, of scripts/planted --lab: lab-server.ts PORT production|endpoint DIRECTORY. */
import { Responder } from "./responder.ts";
import { Messages, readCloses } from "./script.ts";

const [port, role, directory] = process.argv.slice(2) as [string, "production" | "endpoint", string];
const messages = Messages.open(directory, role);
const closes = readCloses(directory);
const isProduction = role === "production";
const response = (id: number) => ({ bytes: messages.of(id), closes: isProduction && closes[id] === 1 });
const { address } = new Responder(response, "0.0.0.0", Number(port));
process.stdout.write(`ready at ${address}\n`);
