# `nix run 'PATH-OR-URL-OF-THE-CHECKOUT?dir=nix'`, or as an input of your own flake: see docs/service.md.
{
  description = "ccinspect: see what your coding agent really sends";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
    pyproject-nix = {
      url = "github:pyproject-nix/pyproject.nix";
      inputs.nixpkgs.follows = "nixpkgs";
    };
    uv2nix = {
      url = "github:pyproject-nix/uv2nix";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.pyproject-nix.follows = "pyproject-nix";
    };
    build-systems = {
      url = "github:pyproject-nix/build-system-pkgs";
      inputs.nixpkgs.follows = "nixpkgs";
      inputs.pyproject-nix.follows = "pyproject-nix";
      inputs.uv2nix.follows = "uv2nix";
    };
  };

  outputs =
    { nixpkgs, pyproject-nix, uv2nix, build-systems, ... }:
    let
      inherit (nixpkgs) lib;
      # Linux only: the jail is made of its namespaces.
      forEachSystem = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ];
      packageFor =
        system:
        nixpkgs.legacyPackages.${system}.callPackage ./package.nix {
          inherit pyproject-nix uv2nix build-systems;
        };
    in
    {
      packages = forEachSystem (system: { default = packageFor system; });
      homeManagerModules.default =
        { pkgs, ... }:
        {
          imports = [ ./home-manager.nix ];
          services.ccinspect.package = lib.mkDefault (packageFor pkgs.stdenv.hostPlatform.system);
        };
    };
}
