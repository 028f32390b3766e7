/** The optional package for tests: without it they are skipped with a message, unless it is required. */
import type { Test } from 'tap';
import { loadUws, type UwsPackage } from '../../../adapters/transport-uws/uws-package.ts';
import { AgentcomError } from '../../../core/errors/agentcom-error.ts';

/** Set to 1 where the tests of uWebSockets.js must run, as in CI: then a failure to load it is an error. */
const REQUIRE = 'AGENTCOM_REQUIRE_UWS';

/** Runs the tests with the package, or reports under `name` why they were skipped. */
export async function withUws(t: Test, name: string, tests: (native: UwsPackage) => Promise<void> | void): Promise<void> {
  const native = await loadUws().catch((thrown: unknown) => {
    if (AgentcomError.is(thrown, 'AC_PACKAGE_MISSING') && process.env[REQUIRE] !== '1') return null;
    throw thrown;
  });
  if (native === null) await t.test(name, { skip: `uWebSockets.js is not installed; ${REQUIRE}=1 makes that a failure` }, () => undefined);
  else await tests(native);
}
