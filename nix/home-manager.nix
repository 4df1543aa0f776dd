# A module for home-manager: the program, its settings with their types, and the daemon as a service of the user.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkIf mkOption types;
  cfg = config.services.ccinspect;
  # What is null was not said: the program's own default holds.
  said =
    value:
    if builtins.isAttrs value then
      lib.filterAttrs (_: inner: inner != null && inner != { }) (builtins.mapAttrs (_: said) value)
    else if builtins.isList value then
      map said value
    else
      value;
  settings = said cfg.settings;
  program = lib.getExe cfg.package;
in
{
  options.services.ccinspect = {
    enable = mkEnableOption "ccinspect, which sees what coding agents really send";

    package = mkOption {
      type = types.package;
      description = "The package of ccinspect.";
    };

    autostart = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the daemon starts with each login. `ccinspect run` starts it when it needs it, too.";
    };

    settings = mkOption {
      type = types.submodule { options = import ./settings.nix { inherit lib; }; };
      default = { };
      example = {
        store.max_age = "30d";
        inspector.reverse_port = 4001;
      };
      description = "What stands in ccinspect.yaml. Secrets do not belong here: it lies in the world-readable Nix store.";
    };
  };

  config = mkIf cfg.enable {
    home.packages = [ cfg.package ];

    xdg.configFile."ccinspect/ccinspect.yaml" = mkIf (settings != { }) {
      source = (pkgs.formats.yaml { }).generate "ccinspect.yaml" settings;
    };

    # The same as systemd/ccinspect.service; docs/service.md says why each line is there.
    systemd.user.services.ccinspect = {
      Unit = {
        Description = "ccinspect: see what coding agents really send";
        StartLimitIntervalSec = 60;
        StartLimitBurst = 5;
        X-Restart-Triggers = [ (builtins.toJSON settings) ];
      };
      Service = {
        Type = "notify";
        NotifyAccess = "main";
        ExecStart = "${program} start";
        ExecReload = "${program} reload";
        Restart = "on-failure";
        RestartSec = 1;
        RestartPreventExitStatus = 2;
        TimeoutStartSec = 120;
        TimeoutStopSec = 60;
        WatchdogSec = 60;
        WatchdogSignal = "SIGKILL";
        EnvironmentFile = "-%E/ccinspect/environment";
        UMask = "0077";
        LimitCORE = 0;
        NoNewPrivileges = true;
        LockPersonality = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        RestrictAddressFamilies = "AF_UNIX AF_INET AF_INET6 AF_NETLINK";
      };
      Install.WantedBy = mkIf cfg.autostart [ "default.target" ];
    };
  };
}
