/** A budget next to the measurements: as lines for people, and as a part of docs/performance.md. */
import { BUDGET_US, BUDGETS, ROWS_SAVED } from './budgets.ts';
import { round } from './result.ts';
import type { StageTime, StageTimes } from './stage-times.ts';
import { STAGE_TITLES } from './stages.ts';

/** `docs/results/bench-budget.json`. */
export interface KeptBudget {
  readonly date: string;
  readonly command: string;
  readonly budgets: readonly StageTimes[];
}

export interface Judged extends StageTime {
  readonly budgetUs: number;
  readonly isOver: boolean;
}

/** Microseconds per task that a few stray samples make. */
const STRAY_US = 0.5;
const isOver = (budgetUs: number, us: number): boolean => us > budgetUs + STRAY_US;

/** Each stage with its budget. */
export const judgedStages = ({ workload, stages }: StageTimes): readonly Judged[] =>
  stages.map((time) => {
    const budgetUs = BUDGETS[time.stage].us[workload];
    return { ...time, budgetUs, isOver: isOver(budgetUs, time.us) };
  });

export const sumUs = ({ stages }: StageTimes): number => stages.reduce((sum, { us }) => sum + us, 0);

/** Of SQLite's thread, for each row that it saves. */
export const rowUs = ({ workload, stages }: StageTimes): number =>
  (stages.find(({ stage }) => stage === 'sqlite')?.us ?? 0) / ROWS_SAVED[workload];

/** As `--json` prints it. */
export const budgetJson = (times: StageTimes): object => ({
  scenario: 'budget',
  ...times,
  stages: judgedStages(times),
  budgetUs: BUDGET_US[times.workload],
  us: sumUs(times),
  rowUs: rowUs(times),
});

const hottestOf = ({ hottest }: StageTime): string => hottest.map(({ what, us }) => `${what} ${round(us)}`).join(', ');

/** For people: each stage that is over its budget with its hottest functions and what to do next. */
export function budgetLines(times: StageTimes): readonly string[] {
  const { workload, tasks, helpersUs } = times;
  const line = (name: string, budgetUs: number, us: number): string =>
    `  ${name.padEnd(13)}${round(budgetUs).padStart(6)}${round(us).padStart(9)}${isOver(budgetUs, us) ? '  over' : ''}`;
  return [
    `budget: ${workload} [sqlite + ws]: µs of the processor a task, ${tasks} tasks`,
    `  ${'stage'.padEnd(13)}${'budget'.padStart(6)}${'measured'.padStart(9)}`,
    ...judgedStages(times).flatMap((judged) => [
      line(judged.stage, judged.budgetUs, judged.us),
      ...(judged.isOver
        ? [...(judged.hottest.length === 0 ? [] : [`      ${hottestOf(judged)}`]), `      next: ${BUDGETS[judged.stage].next}`]
        : []),
    ]),
    line('all', BUDGET_US[workload], sumUs(times)),
    `  SQLite's thread: ${round(rowUs(times))} µs for each of ${ROWS_SAVED[workload]} rows; V8's own threads and the profiler: ${round(helpersUs)} µs beside all`,
  ];
}

/** The part `budget` of the page. */
export function budgetPart({ date, command, budgets }: KeptBudget): string {
  return [
    `\`${command}\`, ${date.slice(0, 10)}, with the profiler running.`,
    ...budgets.flatMap((times) => ['', ...workloadPart(times)]),
  ].join('\n');
}

function workloadPart(times: StageTimes): readonly string[] {
  const { workload, tasks, helpersUs } = times;
  const judgement = (budgetUs: number, us: number): string => (isOver(budgetUs, us) ? '**over**' : 'kept');
  const rows = judgedStages(times).map((judged) => {
    const { stage, budgetUs, us, isOver, hottest } = judged;
    const { from, next } = BUDGETS[stage];
    const hot = isOver ? hottest.map((one) => `\`${one.what}\` ${round(one.us)}`).join(', ') : '';
    return [`${stage}: ${STAGE_TITLES[stage]}`, round(budgetUs), round(us), judgement(budgetUs, us), from, hot, isOver ? next : ''];
  });
  const all = ['**all**', round(BUDGET_US[workload]), round(sumUs(times)), judgement(BUDGET_US[workload], sumUs(times)), '', '', ''];
  return [
    `**${workload}**, ${tasks.toLocaleString('en-US')} tasks:`,
    '',
    '| stage | budget µs | measured µs | | the budget is | hottest functions | next step |',
    '| --- | --: | --: | --- | --- | --- | --- |',
    ...[...rows, all].map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`),
    '',
    `SQLite's thread took ${round(rowUs(times))} µs for each of the ${ROWS_SAVED[workload]} rows that a task saves. V8's own threads, the profiler's among them,`,
    `took ${round(helpersUs)} µs a task, which no stage includes.`,
  ];
}
