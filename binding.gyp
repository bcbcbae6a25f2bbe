# Sources and flags are in native/build.json, for CMakeLists.txt too. Taken away here is what Node's common.gypi adds of
# its own, so that both builds compile alike.
{
  'target_defaults': {
    'include_dirs': ['<!@(node -p "require(\'./native/build.json\').common.include.join(\' \')")'],
    'defines': ['<!@(node -p "require(\'./native/build.json\').common.defines.join(\' \')")'],
    'cflags': ['<!@(node -p "require(\'./native/build.json\').common.cflags.join(\' \')")'],
    'cflags_cc': ['<!@(node -p "require(\'./native/build.json\').common.cflags_cc.join(\' \')")'],
    'ldflags': ['<!@(node -p "require(\'./native/build.json\').common.ldflags.join(\' \')")'],
    'cflags!': ['-O3', '-fno-omit-frame-pointer', '-Wno-unused-parameter'],
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-fno-strict-aliasing'],
    'ldflags!': ['-rdynamic'],
  },
  'targets': [
    {
      'target_name': 'sigframe',
      'include_dirs': ['<!(node -p "require(\'node-addon-api\').include_dir")'],
      'sources': ['<!@(node -p "require(\'./native/build.json\').addon.sources.join(\' \')")'],
      'defines': ['<!@(node -p "require(\'./native/build.json\').addon.defines.join(\' \')")'],
      'cflags': ['<!@(node -p "require(\'./native/build.json\').addon.cflags.join(\' \')")'],
      'cflags_cc': ['<!@(node -p "require(\'./native/build.json\').addon.cflags_cc.join(\' \')")'],
      'ldflags': [
        '<!@(node -p "require(\'./native/build.json\').addon.ldflags.join(\' \')")',
        '-Wl,--version-script=<(module_root_dir)/<!(node -p "require(\'./native/build.json\').addon.exports")',
      ],
    },
    {
      'target_name': 'sigframe-probe',
      'type': 'executable',
      'sources': ['<!@(node -p "require(\'./native/build.json\').probe.sources.join(\' \')")'],
      'defines': ['<!@(node -p "require(\'./native/build.json\').probe.defines.join(\' \')")'],
      'cflags': ['<!@(node -p "require(\'./native/build.json\').probe.cflags.join(\' \')")'],
      'cflags_cc': ['<!@(node -p "require(\'./native/build.json\').probe.cflags_cc.join(\' \')")'],
      'ldflags': ['<!@(node -p "require(\'./native/build.json\').probe.ldflags.join(\' \')")'],
    },
    {
      'target_name': 'sigframe-init',
      'type': 'executable',
      'sources': ['<!@(node -p "require(\'./native/build.json\').init.sources.join(\' \')")'],
      'defines': ['<!@(node -p "require(\'./native/build.json\').init.defines.join(\' \')")'],
      'cflags': ['<!@(node -p "require(\'./native/build.json\').init.cflags.join(\' \')")'],
      'cflags_cc': ['<!@(node -p "require(\'./native/build.json\').init.cflags_cc.join(\' \')")'],
      'ldflags': ['<!@(node -p "require(\'./native/build.json\').init.ldflags.join(\' \')")'],
    },
  ],
}
