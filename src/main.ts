import { main } from "./cli/cli.ts";

process.exit(await main(process.argv.slice(2), process.env));
