/**
 * Runs one attack, in a network namespace of its own if it comes from an interface, and prints its report as JSON.
 *
 *     bun inside.ts NAME SETUP-AS-JSON
 */
import { attack, type Report, type Setup } from "./attack.ts";
import { ATTACKS } from "./attacks.ts";
import { TRIALS } from "./trials.ts";

async function run(name: string, setup: Setup): Promise<Report> {
  const trial = TRIALS.find((one) => one.name === name);
  return trial === undefined
    ? attack(
        ATTACKS.find((one) => one.name === name)!,
        setup,
      )
    : trial.run(setup);
}

const [name, setup] = process.argv.slice(2) as [string, string];
process.stdout.write(`${JSON.stringify(await run(name, JSON.parse(setup) as Setup))}\n`, () => process.exit(0));
