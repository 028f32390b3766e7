import type { CommandInbox } from '../application/hub/commands.ts';

export type Chosen = CommandInbox;
