/** The command runner warns of a script that its interpreter would not find, and of nothing that may be another kind of word. */
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../adapters/clock-system/system-clock.ts';
import type { Log } from '../../core/ports/log.ts';
import { command, type CommandOptions } from '../../plugins/command/index.ts';
import { memoryLog } from '../product/twins/log-memory/memory-log.ts';

void t.test('a script that is not in the working directory causes a warning', async (t) => {
  const baseDir = t.testdir({ 'there.mjs': '', 'on-path.sh': '' });
  const create = (options: CommandOptions, log: Log): Promise<unknown> =>
    command(options).create({ agentId: 'a1', baseDir, dataDir: baseDir, clock: systemClock(), log });
  const warned: readonly (readonly string[])[] = [
    ['node', 'agent.mjs'],
    [process.execPath, '--import=tsx', './agent.ts', 'there.mjs'],
    ['python3.12', '-u', '/no/such/agent.py'],
    ['bash', '-eu', 'agent.sh'],
  ];
  const silent: readonly (readonly string[])[] = [
    ['node', 'there.mjs'],
    ['node', join(baseDir, 'there.mjs'), 'agent.mjs'],
    ['node', '--import', 'tsx', 'agent.ts'],
    ['node', '--run', 'agent.mjs'],
    ['node', '-e', 'agent.mjs'],
    ['node', 'inspect'],
    ['node', '${TASK_ID}.mjs'],
    ['bash', '-c', 'agent.sh'],
    ['sh', 'on-path.sh'],
    ['deno', 'run', 'agent.ts'],
    ['agent', 'agent.mjs'],
  ];
  for (const argv of [...warned, ...silent]) {
    const log = memoryLog();
    await create({ argv, cwd: argv[0] === 'sh' ? '/' : '.', env: { PATH: baseDir } }, log);
    const warnings = log.lines.filter(({ level }) => level === 'warn');
    t.equal(warnings.length, warned.includes(argv) ? 1 : 0, argv.join(' '));
    for (const { message } of warnings) t.match(message, /^argv names the script ".*agent\.\w+", but there is no such file in "/);
  }
  const log = memoryLog();
  await create({ argv: ['node', 'agent.mjs'], cwd: 'made-later' }, log);
  t.strictSame(log.lines, []);
});
