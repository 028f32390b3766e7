/**
 * Checks the metrics of a running hub, the alert rules and the dashboard with Prometheus' own tool.
 *
 *     npm run test:monitoring
 */
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../architecture/cruise.ts';
import { runningHub } from '../running-hub.ts';
import { runTasks } from './real-tasks.ts';
import { metricsIn, namedIn } from './scrape.ts';

const RULES = join(ROOT, 'docs/monitoring/alerts.yml');
const BOARD = join(ROOT, 'docs/monitoring/board.json');

/** Runs promtool and prints its output. Returns whether it found nothing wrong. */
function promtool(args: readonly string[], input = ''): boolean {
  const { status, stdout, stderr, error } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  if (error !== undefined) throw error;
  const message = `${stdout}${stderr}`.trim();
  console.log(`promtool ${args.join(' ')}: ${status === 0 ? 'ok' : `exit code ${String(status)}`}${message === '' ? '' : `\n${message}`}`);
  return status === 0;
}

async function main(): Promise<number> {
  if (spawnSync('promtool', ['--version']).error !== undefined) {
    console.error('promtool is not installed. It is part of Prometheus: apt-get install --no-install-recommends prometheus');
    return 1;
  }
  const hub = await runningHub();
  let text: string;
  try {
    await runTasks(hub);
    text = await hub.api.metrics();
  } finally {
    await hub.stop();
  }
  const there = metricsIn(text);
  const named = namedIn(`${await readFile(RULES, 'utf8')} ${await readFile(BOARD, 'utf8')}`);
  const missing = named.filter((name) => !there.includes(name));
  console.log(
    `the rules and the dashboard name ${named.length} of ${there.length} metrics; not in the scrape: ${missing.join(', ') || 'none'}`,
  );
  const oks = [
    promtool(['check', 'metrics'], text),
    promtool(['check', 'rules', RULES]),
    promtool(['test', 'rules', join(import.meta.dirname, 'alerts.test.yml')]),
    missing.length === 0,
  ];
  return oks.every((ok) => ok) ? 0 : 1;
}

process.exitCode = await main();
