// tap starts each test with a loader that notes which files it and its children load, for coverage and `--changed`, and with
// source maps. Neither is asked for here, and beside them each process of a run, and of what its tests start, would take a tenth of
// a second of the processor more. Loaded by tap itself; what it starts does not inherit it.
import childProcess from 'node:child_process';
import { syncBuiltinESMExports } from 'node:module';

const LEFT_OUT = /^(--import|--loader)=.*\/@tapjs\/|^--enable-source-maps$/;

const { spawn } = childProcess;
childProcess.spawn = (command, args, options) => {
  // So tap marks a test.
  if (options?.env?.TAP !== '1') return spawn(command, args, options);
  const { NODE_OPTIONS: _ofTap, AGENTCOM_TEST_NODE_OPTIONS: own, ...env } = options.env;
  const lean = args.filter((arg) => !LEFT_OUT.test(arg));
  return spawn(command, lean, { ...options, env: own === undefined ? env : { ...env, NODE_OPTIONS: own } });
};
syncBuiltinESMExports();
