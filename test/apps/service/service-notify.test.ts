/** What a program reports to systemd, through a systemd-notify that records its arguments. */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { serviceNotifier } from '../../../apps/service/service-notify.ts';

async function manager(t: Test) {
  const dir = await mkdtemp(join(tmpdir(), 'agentcom-notify-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const log = join(dir, 'log');
  await writeFile(log, '');
  await writeFile(join(dir, 'systemd-notify'), `#!/bin/sh\necho "$NOTIFY_SOCKET $@" >> '${log}'\n`);
  await chmod(join(dir, 'systemd-notify'), 0o755);
  return {
    env: { NOTIFY_SOCKET: '/run/sock', PATH: `${dir}:/usr/bin:/bin`, SECRET: 'x' },
    /** Resolves once this was reported. */
    async notified(wanted: string): Promise<readonly string[]> {
      for (;;) {
        const lines = (await readFile(log, 'utf8')).split('\n').slice(0, -1);
        if (lines.includes(wanted)) return lines;
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

t.test('systemd is notified of readiness, state, liveness and stopping', async (t) => {
  const { env, notified } = await manager(t);
  const service = serviceNotifier({ ...env, WATCHDOG_USEC: '30000', WATCHDOG_PID: String(process.pid) }, memoryLog());
  service.started();
  await notified('/run/sock READY=1');
  service.status('agentcom hub ready');
  await notified('/run/sock STATUS=agentcom hub ready');
  await notified('/run/sock WATCHDOG=1');
  service.stopping();
  await notified('/run/sock STOPPING=1');
});

t.test('the watchdog belongs to another process of the unit', async (t) => {
  const { env, notified } = await manager(t);
  const service = serviceNotifier({ ...env, WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' }, memoryLog());
  service.started();
  await notified('/run/sock READY=1');
  service.stopping();
  t.notOk((await notified('/run/sock STOPPING=1')).includes('/run/sock WATCHDOG=1'));
});

t.test('a missing systemd-notify is logged once; without a notify socket nothing is run', async (t) => {
  const log = memoryLog();
  const service = serviceNotifier({ NOTIFY_SOCKET: '/run/sock', PATH: '/nonexistent' }, log);
  const warned = new Promise<void>((resolve) => {
    const { warn } = log;
    log.warn = (...args) => {
      warn(...args);
      resolve();
    };
  });
  service.started();
  await warned;
  t.match(log.lines.at(-1), { level: 'warn', message: /the service manager expects notifications, which cannot be sent/ });
  const silent = memoryLog();
  serviceNotifier({ PATH: '/nonexistent' }, silent).started();
  t.same(silent.lines, []);
});
