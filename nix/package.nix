# The program with exactly the packages of uv.lock, and the tools of the jail on its PATH.
{
  lib,
  callPackage,
  symlinkJoin,
  makeWrapper,
  python313,
  iproute2,
  slirp4netns,
  wireguard-go,
  wireguard-tools,
  pyproject-nix,
  uv2nix,
  build-systems,
}:
let
  workspace = uv2nix.lib.workspace.loadWorkspace { workspaceRoot = ../.; };
  pythonSet =
    (callPackage pyproject-nix.build.packages { python = python313; }).overrideScope
      (lib.composeManyExtensions [
        build-systems.overlays.default
        # Some of the packages are written in Rust: their wheels save an hour.
        (workspace.mkPyprojectOverlay { sourcePreference = "wheel"; })
      ]);
  environment = pythonSet.mkVirtualEnv "ccinspect-environment" workspace.deps.default;
  tools = [ iproute2 slirp4netns wireguard-go wireguard-tools ];
in
symlinkJoin {
  name = "ccinspect";
  paths = [ environment ];
  nativeBuildInputs = [ makeWrapper ];
  # Of the environment, only our own program belongs on a user's PATH.
  postBuild = ''
    find "$out/bin" -mindepth 1 ! -name ccinspect -delete
    wrapProgram "$out/bin/ccinspect" --suffix PATH : ${lib.makeBinPath tools}
  '';
  meta = {
    description = "See what your coding agent really sends";
    license = lib.licenses.asl20;
    mainProgram = "ccinspect";
    platforms = lib.platforms.linux;
  };
}
