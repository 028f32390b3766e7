import { command } from 'agentcom/runners';

export const runner = command({ argv: ['true'] });
