import nothing from 'no-such-package-anywhere';

export const reach = nothing;
