import { env } from 'agentcom';

export const home = env('HOME', '/');
