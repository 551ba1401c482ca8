// What stands for no token: no vocabulary has one of this index.

const NO_TOKEN = 0xffffffffu;
