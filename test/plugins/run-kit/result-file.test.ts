/** What a real program leaves in its results folder, in addition to what its runner reads from it. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as realTime } from 'node:timers/promises';
import t from 'tap';
import { systemClock } from '../../../adapters/clock-system/system-clock.ts';
import { systemDigest } from '../../../adapters/ids-system/system-digest.ts';
import { seededIds } from '../../product/twins/ids-seeded/seeded-ids.ts';
import { memoryJournal } from '../../product/twins/journal-memory/memory-journal.ts';
import { memoryLog } from '../../product/twins/log-memory/memory-log.ts';
import { filesResultInbox } from '../../../adapters/results-files/files-result-inbox.ts';
import { memoryWire } from '../../product/twins/wire-memory/memory-wire.ts';
import { createSidecar } from '../../../core/application/sidecar/sidecar.ts';
import { SIDECAR_TIMING } from '../../../core/config/times.ts';
import { command } from '../../../plugins/command/index.ts';
import { obliging, offer } from '../../core/sidecar/rig/sidecar-room.ts';

type Frame = Readonly<Record<string, unknown>>;

const WITHIN_MS = 20_000;

t.test('R4: a program that writes a result file and exits without a final output line has a result', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'agentcom-result-file-'));
  const [clock, log] = [systemClock(), memoryLog()];
  const wire = memoryWire({ clock });
  const received: Frame[] = [];
  const place = {
    host: 'hub',
    port: 4000,
    frameBytesMax: 1_048_576,
    unidentifiedBytesMax: Infinity,
    socketsMax: 10,
    socketQueueBytesMax: 4_194_304,
  };
  let say: (frame: object) => void = () => undefined;
  await wire.transport().listen(
    { ...place, http: () => ({ status: 404, headers: {}, body: null }), isAllowedOrigin: () => true },
    {
      onOpen: (connection) => void (say = (frame) => connection.send(JSON.stringify(frame))),
      onFrame: (_connection, text) => {
        const frame = JSON.parse(text) as Frame;
        received.push(frame);
        obliging(frame, say);
      },
      onPong: () => undefined,
      onGone: () => undefined,
    },
  );
  const script = 'sleep 0.3; echo \'{"status":"success","output":"in the file"}\' > "$AGENTCOM_RESULTS_DIR/$AGENTCOM_TASK_ID.json"';
  const plugin = command({ argv: ['sh', '-c', script], report: 'last-json-line' });
  const sidecar = createSidecar({
    config: {
      hubs: ['ws://hub:4000/ws'],
      agentId: 'worker-1',
      name: 'W',
      token: 'token',
      plainToken: true,
      capabilities: [],
      slots: 1,
      timing: SIDECAR_TIMING,
    },
    link: wire.link(),
    journal: memoryJournal(),
    results: filesResultInbox({ dataDir, clock, log, resultStillMs: 200 }),
    runner: await plugin.create({ agentId: 'worker-1', baseDir: dataDir, dataDir, clock, log }),
    clock,
    ids: seededIds({ seed: 'result-file' }),
    digest: systemDigest(),
    log,
    stopController: () => new AbortController(),
  });
  t.teardown(async () => {
    await sidecar.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
  await sidecar.start();
  await sidecar.ready;
  say(offer());
  const isEnd = (frame: Frame): boolean => frame['type'] === 'task_complete' || frame['type'] === 'task_failed';
  for (let waitedMs = 0; !received.some(isEnd) && waitedMs < WITHIN_MS; waitedMs += 50) await realTime(50);
  t.match(received.find(isEnd), { type: 'task_complete', result: { output: 'in the file' } });
  for (let waitedMs = 0; (await readdir(join(dataDir, 'results'))).length > 0 && waitedMs < WITHIN_MS; waitedMs += 50) await realTime(50);
  t.same(await readdir(join(dataDir, 'results')), [], 'which was read before its folder went');
});
