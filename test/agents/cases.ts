/** All cases, tried with every program. */
import { ANSWER_CASES } from './answer-cases.ts';
import type { AgentCase } from './case-kit.ts';
import { RUN_CASES } from './run-cases.ts';
import { SETTINGS_CASES } from './settings-cases.ts';
import { WORD_CASES } from './word-cases.ts';

export const CASES: readonly AgentCase[] = [...RUN_CASES, ...ANSWER_CASES, ...WORD_CASES, ...SETTINGS_CASES];
